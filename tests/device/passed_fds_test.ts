/** Descriptors that a VMM sends and the device has no use for: to close one takes no time. */
import { readlinkSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { AF_INET, SO_LINGER, SOCK_STREAM, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { close, getsockopt, setsockopt, socket } from "../../ffi/libc.ts";
import type { UnixAddress } from "../../src/address.ts";
import { openUnix } from "../../src/kernel/tcp_unix.ts";
import type { KernelSocket } from "../../src/kernel/socket.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import { FaultyLibc } from "../helpers/faulty_libc.ts";
import { frame, FrontEnd, memoryTable, sendFrame, u32s, u64s } from "./front_end.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { leavesNothing } from "./footprint.ts";
import { warmUp } from "./exchange.ts";

const { SET_VRING_CALL, SET_FEATURES, SET_MEM_TABLE } = REQUEST;
const CALL = u64s(0);
const REGION = { guestAddress: 0, size: 4096, userAddress: 0, offset: 0 };

/** How the device gets `fds`, which it cannot use: it hangs up then. */
const WAYS: Readonly<Record<string, (frontEnd: FrontEnd, fds: number[]) => Promise<void>>> = {
  "is no eventfd": (frontEnd, fds) => frontEnd.post(SET_VRING_CALL, CALL, { fds }),
  "is of no ring": (frontEnd, fds) => frontEnd.post(SET_VRING_CALL, u64s(7), { fds }),
  "is no memory": (frontEnd, fds) => frontEnd.post(SET_MEM_TABLE, memoryTable([REGION]), { fds }),
  "is one of too many": (frontEnd, [fd]) =>
    frontEnd.post(SET_VRING_CALL, CALL, { fds: Array(253).fill(fd) }),
  async "comes behind the header"(frontEnd, fds) {
    await frontEnd.write(u32s(SET_VRING_CALL, 1, 8));
    await frontEnd.write(CALL, fds);
  },
  async "is not read any more"(frontEnd, fds) {
    const wrong = frontEnd.post(SET_FEATURES, u64s(1n << 63n));
    await frontEnd.post(SET_VRING_CALL, CALL, { fds });
    await wrong;
  },
  async "belongs to a message that ends within"(frontEnd, fds) {
    await frontEnd.post(SET_VRING_CALL, CALL, { fds, cut: 17 });
    frontEnd.end();
  },
};

/** Whether close(2) of it would wait. */
function lingers(fd: number): boolean {
  const value = new Int32Array(2);
  getsockopt(fd, SOL_SOCKET, SO_LINGER, value);
  return value[0] !== 0;
}

/** A socket whose close(2) would take a minute, had it something left to send. */
function lingering(): number {
  const fd = socket(AF_INET, SOCK_STREAM);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 60));
  return fd;
}

for (const [name, send] of Object.entries(WAYS)) {
  test(`VsockDevice waits for no descriptor of a VMM to close: one that ${name}`, {
    timeout: 60_000,
  }, async () => {
    using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
    await warmUp(device);
    const fd = lingering();
    await leavesNothing(async () => {
      using frontEnd = await FrontEnd.connect(device.guest.socketPath);
      await send(frontEnd, [fd]);
      await frontEnd.closed();
      assertEquals(lingers(fd), false);
    });
    close(fd);
  });
}

test("VsockDevice waits for no descriptor of a VMM to close: one of a second VMM", {
  timeout: 60_000,
}, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using first = await FrontEnd.connect(device.guest.socketPath);
  await first.settled();
  const fd = lingering();
  using second = await FrontEnd.connect(device.guest.socketPath);
  await second.post(SET_VRING_CALL, CALL, { fds: [fd] });
  await second.closed();
  assertEquals(lingers(fd), false);
  close(fd);
});

test("VsockDevice waits for no descriptor of a VMM to close: one of a VMM that it never saw", () => {
  const device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using vmm = openUnix().socket("stream") as KernelSocket<UnixAddress>;
  vmm.connect({ path: device.guest.socketPath });
  const fd = lingering();
  sendFrame(vmm.fd, frame(SET_VRING_CALL, CALL), [fd]);
  device.close();
  assertEquals(lingers(fd), false);
  close(fd);
});

/** Has close(2) of what `link` of `/proc` leads to fail, as of a file whose server is gone. */
function failToClose(link: string): FaultyLibc {
  const isSo = (fd: unknown): boolean => readlinkSync(`/proc/self/fd/${fd}`) === link;
  return new FaultyLibc((name, [fd]) => name === "close" && isSo(fd) ? "EIO" : undefined);
}

for (const [name, send] of Object.entries(WAYS)) {
  test(`VsockDevice goes on where close(2) fails of a descriptor of a VMM: one that ${name}`, {
    timeout: 60_000,
  }, async () => {
    using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
    await warmUp(device);
    const fd = lingering();
    await leavesNothing(async () => {
      using _libc = failToClose(readlinkSync(`/proc/self/fd/${fd}`));
      using frontEnd = await FrontEnd.connect(device.guest.socketPath);
      await send(frontEnd, [fd, fd, fd]);
      await frontEnd.closed();
      await warmUp(device);
    });
    close(fd);
  });
}
