/**
 * What programs do, from the first call to the last, for `sweep()`: each step that fails ends all.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { readdirSync } from "node:fs";
import { assertEquals } from "@std/assert";
import { AF_VSOCK, SockaddrVm, VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { EFD_NONBLOCK } from "../../../ffi/abi/eventfd.ts";
import { SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import { bind, close, eventfd, listen as listenFd, socket } from "../../../ffi/libc.ts";
import { createMemfd } from "../../../ffi/memfd.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import type { Address } from "../../../src/address.ts";
import { connect } from "../../../src/connect.ts";
import { openHybrid } from "../../../src/hybrid/transport.ts";
import { createVmm } from "../../../src/hybrid/vmm.ts";
import { adoptListener } from "../../../src/kernel/adopt.ts";
import { listen } from "../../../src/listen.ts";
import type { Listener } from "../../../src/listener.ts";
import { probe } from "../../../src/probe.ts";
import { createVsockDevice } from "../../../src/vhost_user/device.ts";
import { Signaller } from "../../../src/vhost_user/signaller.ts";
import { turn } from "../../../src/wait/turns.ts";
import { join, type Pair, pattern, readAll } from "../../helpers/pair.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";
import type { Scenario } from "./sweep.ts";

const TCP: Address = { hostname: "127.0.0.1", port: 0 };

/** Both results; where one fails the other one ends, too. */
async function together<A, B>(pair: Disposable, a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  try {
    return await Promise.all([a, b]);
  } catch (cause) {
    pair[Symbol.dispose]();
    await Promise.allSettled([a, b]);
    throw cause;
  }
}

function same(got: Uint8Array, sent: Uint8Array): void {
  assertEquals(
    Buffer.compare(got, sent),
    0,
    `${got.length} bytes of ${sent.length} that were sent`,
  );
}

/** Waits for bytes, sends them, answers, and ends. */
async function talk({ near, far, ...pair }: Pair<Address>): Promise<void> {
  const sent = pattern(5_000);
  const waiting = far.read(new Uint8Array(1), { peek: true });
  await together({ ...pair }, waiting, near.write(sent));
  same(await readAll(far, sent.length), sent);
  assertEquals(near.unsentBytes >= 0, true);
  await far.write(sent.subarray(0, 100));
  same(await readAll(near, 100), sent.subarray(0, 100));
  await near.closeWrite();
  assertEquals(await far.read(new Uint8Array(1)), null);
}

async function sendAndReceive(mode: "copy" | "map" | "auto"): Promise<void> {
  using listener = listen(TCP, { options: { maxSegment: 4_108 } });
  using pair = await join(listener, connect(listener.addr));
  const { near, far } = pair;
  const sent = pattern(300_000);
  const receive = async (): Promise<void> => {
    using receiver = far.receiver({ mode, pages: 32 });
    let at = 0;
    for await (const batch of receiver) {
      for (const { data } of batch) same(data, sent.subarray(at, at += data.length));
    }
    assertEquals(at, sent.length);
  };
  const send = near.write(sent, { zeroCopy: true }).then(() => near.closeWrite());
  await together(pair, send, receive());
}

/** Gives `path` of a folder that has to be empty in the end. */
async function withPath(use: (path: string) => Promise<void>): Promise<void> {
  using folder = new TempFolder();
  try {
    await use(folder.path("socket"));
  } finally {
    assertEquals(readdirSync(folder.path("")).join(), "");
  }
}

/** By name. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  async "a connection over TCP"() {
    const options = { noDelay: true };
    using listener = listen(TCP, { options });
    using pair = await join(listener, connect(listener.addr, { options }));
    await talk(pair);
  },

  "a connection over AF_UNIX": () =>
    withPath(async (path) => {
      using listener = listen({ path });
      using pair = await join(listener, connect({ path }));
      await talk(pair);
    }),

  "messages over AF_UNIX": () =>
    withPath(async (path) => {
      using listener = listen({ path }, { type: "seqpacket" });
      using pair = await join(listener, connect({ path }, { type: "seqpacket" }));
      const { near, far } = pair;
      const [sent, message] = [pattern(1_000), far.receiveMessage()];
      const [got] = await together(pair, message, near.sendMessage(sent));
      same(got!.data, sent);
      near.close();
      assertEquals(await far.receiveMessage(), null);
    }),

  async "streams over TCP"() {
    using listener = listen(TCP);
    using pair = await join(listener, connect(listener.addr));
    const { near, far } = pair;
    const sent = pattern(200_000);
    const pipe = new Blob([sent]).stream().pipeTo(near.writable);
    const [, got] = await together(pair, pipe, new Response(far.readable).bytes());
    same(got, sent);
  },

  "a receiver that copies": () => sendAndReceive("copy"),
  "a receiver that maps": () => sendAndReceive("map"),
  "a receiver that does either": () => sendAndReceive("auto"),

  "a connection to a VM, and one from it": () =>
    withPath(async (path) => {
      using vmm = createVmm(path);
      const transport = openHybrid(path);
      using host = listen({ cid: 2, port: 77 }, { transport });
      using near = await connect({ cid: 2, port: 77 }, { transport: vmm.guest });
      using far = await host.accept();
      await talk({ near, far, [Symbol.dispose]: () => near.close() });
    }),

  "a device with two guests to be": () =>
    withPath(async (socketPath) => {
      using device = createVsockDevice({ socketPath, guestCid: 3 });
      device.addGuest({ socketPath: `${socketPath}2`, guestCid: 4 });
      await turn();
    }),

  "a listener of AF_VSOCK"() {
    const port = VMADDR_CID_ANY;
    const options = { bufferMaxSize: 1 << 20, bufferSize: 65_536, connectTimeoutMs: 100 };
    using listener = listen({ cid: VMADDR_CID_ANY, port }, { transport: "vsock", options });
    assertEquals(listener.options.bufferSize, 65_536);
  },

  "a listener of AF_VSOCK that was inherited"() {
    const fd = socket(AF_VSOCK, SOCK_STREAM);
    let listener: Listener | undefined;
    try {
      bind(fd, new SockaddrVm(VMADDR_CID_ANY, VMADDR_CID_ANY).bytes);
      listenFd(fd, 1);
      listener = adoptListener(fd);
    } finally {
      if (listener === undefined) close(fd);
      else listener.close();
    }
  },

  "a look at all that there is": () => void probe(),

  "memory of its own, and of a file"() {
    const fd = createMemfd("vsockit-fault", 65_536);
    try {
      using shared = new MappedRegion(65_536, { fd });
      shared.lend(0, 10)[0] = 1;
      using own = new MappedRegion(65_536);
      own.resize(1 << 20);
      own.discard(0, 4_096);
    } finally {
      close(fd);
    }
  },

  "signals to an eventfd"() {
    const signaller = new Signaller();
    try {
      const fd = eventfd(0, EFD_NONBLOCK);
      try {
        for (let count = 0; count < 70; count++) signaller.signal(fd);
      } finally {
        close(fd);
      }
    } finally {
      signaller.close();
    }
  },
};
