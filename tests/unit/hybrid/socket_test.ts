import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { POLLIN, POLLNVAL, POLLOUT } from "../../../ffi/abi/poll.ts";
import { SO_SNDBUF, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { ERRNO, SysError } from "../../../ffi/errno.ts";
import type { Address } from "../../../src/address.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { openHybrid } from "../../../src/hybrid/transport.ts";
import { createVmm } from "../../../src/hybrid/vmm.ts";
import { listen } from "../../../src/listen.ts";
import { SocketOptions } from "../../../src/options.ts";
import type { Socket } from "../../../src/socket.ts";
import { openSockets } from "../../helpers/open_sockets.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

const WAIT = { timeout: 60_000 };

test("Socket.close() of a guest gives its port back, one that connect() took too", () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path);
  for (let i = 0; i < 2; i++) {
    using socket = vmm.guest.socket("stream");
    socket.bind({ cid: 3, port: 1024 });
  }
  using _host = listen({ path, port: 5 });
  using first = vmm.guest.socket("stream");
  first.connect({ cid: 2, port: 5 });
  const own = first.localAddress();
  first.close();
  using second = vmm.guest.socket("stream");
  second.bind(own);
});

/** Bytes that may be on the way, as Linux counts them: twice what was asked for. */
function sendBuffer({ socket }: { readonly socket: Socket<Address> }): number {
  const value = new Int32Array(1);
  socket.getsockopt(SOL_SOCKET, SO_SNDBUF, new Uint8Array(value.buffer));
  return value[0]!;
}

test("Socket.connect() after a time-out keeps the size of the buffer", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using _silent = listen({ path });
  using socket = openHybrid(path, { timeoutMs: 20 }).socket("stream");
  new SocketOptions(socket).bufferSize = 4_096;
  for (let dials = 0; dials < 2; dials++) {
    socket.connect({ cid: 3, port: 1 });
    assertEquals(sendBuffer({ socket }), 16_384);
    await socket.wait(POLLOUT);
  }
});

test("Socket.connect() after a time-out keeps what setsockopt() has set last", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using _silent = listen({ path });
  using socket = openHybrid(path, { timeoutMs: 20 }).socket("stream");
  const set = (bytes: number): void => {
    const value = new Uint8Array(Int32Array.of(bytes).buffer);
    socket.setsockopt(SOL_SOCKET, SO_SNDBUF, value);
    value.fill(0); // the caller's own
  };
  for (const resized of [false, true]) {
    set(10_000);
    if (resized) new SocketOptions(socket).bufferSize = 4_096;
    for (let dials = 0; dials < 2; dials++) {
      socket.connect({ cid: 3, port: 1 });
      assertEquals(sendBuffer({ socket }), resized ? 16_384 : 20_000);
      await socket.wait(POLLOUT);
    }
  }
});

test("Socket.connect() after a time-out has no descriptor but its own", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using _silent = listen({ path });
  using socket = openHybrid(path, { timeoutMs: 20 }).socket("stream");
  const dial = async (): Promise<number> => {
    socket.connect({ cid: 3, port: 1 });
    await socket.wait(POLLOUT);
    assertEquals(socket.takeError(), ERRNO.ETIMEDOUT);
    return openSockets();
  };
  const before = await dial();
  assertEquals([await dial(), await dial()], [before, before]);
});

test("options.bufferSize is that of what carries the bytes, and is inherited", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path);
  const options = { bufferSize: 4_096 };
  using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest, options });
  using near = await connect({ path, port: 1024 }, { options });
  using guest = await agent.accept();
  using host = listen({ path, port: 5 }, { options });
  using dialled = await connect({ cid: 2, port: 5 }, { transport: vmm.guest, options });
  using served = await host.accept();
  assertEquals([near, guest, dialled, served].map(sendBuffer), [16_384, 16_384, 16_384, 16_384]);
  assertEquals(guest.options.bufferSize, 4_096);
});

test("Socket.wait() of one that is not connected ends with it", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path);
  for (const socket of [openHybrid(path).socket("stream"), vmm.guest.socket("stream")]) {
    const reason = new RangeError("enough");
    const controller = new AbortController();
    const aborted = socket.wait(POLLIN, controller.signal).catch((reason) => reason);
    const wait = socket.wait(POLLIN);
    controller.abort(reason);
    assertEquals(await aborted, reason);
    socket.close();
    assertEquals(await wait, POLLNVAL);
  }
});

test("createVmm() with silence gives its guest no connection", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path, { faults: { answer: "silence" } });
  using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
  await assertRejects(() => connect({ path, port: 1024 }, { timeoutMs: 20 }), VsockError);
  assertEquals(agent.socket.accept(), undefined);
});

test("Socket.waitSync() of a guest that listens is refused: who would wake it is this thread", () => {
  using folder = new TempFolder();
  using vmm = createVmm(folder.path("vm.sock"));
  using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
  const { code } = assertThrows(() => agent.socket.waitSync(POLLIN, 1), SysError);
  assertEquals(code, "EOPNOTSUPP");
});

test("Socket.wait() for an answer rejects at once where its signal is aborted", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using _silent = listen({ path });
  using socket = openHybrid(path, { timeoutMs: 2_000_000 }).socket("stream");
  socket.connect({ cid: 3, port: 1 });
  const reason = new RangeError("enough");
  const wait = socket.wait(POLLOUT, AbortSignal.abort(reason));
  assertEquals(await wait.catch((error) => error), reason);
});

test("Socket.wait() goes on once the socket is connected", WAIT, async () => {
  using folder = new TempFolder();
  const path = folder.path("vm.sock");
  using vmm = createVmm(path);
  using host = listen({ path, port: 5 });
  using guest = vmm.guest.socket("stream");
  const wait = guest.wait(POLLIN);
  guest.connect({ cid: 2, port: 5 });
  using conn = await host.accept();
  await conn.write(Uint8Array.of(1));
  assertEquals(await wait, POLLIN);
});
