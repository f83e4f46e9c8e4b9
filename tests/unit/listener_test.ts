import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { POLLIN } from "../../ffi/abi/poll.ts";
import { SO_LINGER, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { SysError } from "../../ffi/errno.ts";
import { connect } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen, type ListenOptions } from "../../src/listen.ts";
import { Listener } from "../../src/listener.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import { fakeSocket } from "../helpers/fake_socket.ts";

const ADDRESS = { cid: 1, port: 4000 };

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, VsockError);
  return `${error.op} ${error.code}`;
}

test("Listener.accept() gives what waits, and waits for what does not", {
  timeout: 60_000,
}, async () => {
  const transport = createLoopback();
  using listener = listen(ADDRESS, { transport });
  assertEquals(listener.addr, { transport: "vsock", ...ADDRESS });
  using first = await connect(ADDRESS, { transport });
  using accepted = await listener.accept();
  assertEquals(accepted.remoteAddr.port, first.localAddr.port);
  const accepting = listener.accept();
  using second = await connect(ADDRESS, { transport });
  using later = await accepting;
  assertEquals(later.remoteAddr.port, second.localAddr.port);
});

test("Listener.accept() refuses a second one while one is pending", {
  timeout: 60_000,
}, async () => {
  const transport = createLoopback();
  using listener = listen(ADDRESS, { transport });
  const accepting = listener.accept();
  assertEquals(await refusal(listener.accept()), "accept EBUSY");
  using _near = await connect(ADDRESS, { transport });
  using far = await accepting;
  assertEquals(far.localAddr.port, ADDRESS.port);
});

test("Listener.accept() is limited by timeoutMs and signal", { timeout: 60_000 }, async () => {
  using listener = listen(ADDRESS, { transport: createLoopback() });
  assertEquals(await refusal(listener.accept({ timeoutMs: 0 })), "accept ETIMEDOUT");
  assertEquals(await refusal(listener.accept({ timeoutMs: 2 })), "accept ETIMEDOUT");
  const caller = new AbortController();
  const accepting = listener.accept({ signal: caller.signal });
  const reason = new Error("enough");
  caller.abort(reason);
  assertStrictEquals(await accepting.catch((error) => error), reason);
  await assertRejects(() => listener.accept({ timeoutMs: -1 }), RangeError);
});

test("Listener.close() ends accept with EBADF", { timeout: 60_000 }, async () => {
  const listener = listen(ADDRESS, { transport: createLoopback() });
  const accepting = refusal(listener.accept());
  listener.close();
  listener.close();
  assertEquals(await accepting, "accept EBADF");
  assertEquals(await refusal(listener.accept()), "accept EBADF");
});

test("Listener is iterated until it is closed", { timeout: 60_000 }, async () => {
  const transport = createLoopback();
  const listener = listen(ADDRESS, { transport });
  const ports: number[] = [];
  const serving = (async () => {
    for await (const conn of listener) {
      ports.push(conn.remoteAddr.port);
      conn.close();
    }
  })();
  using first = await connect(ADDRESS, { transport });
  assertEquals(await first.read(new Uint8Array(1)), null);
  using second = await connect(ADDRESS, { transport });
  assertEquals(await second.read(new Uint8Array(1)), null);
  listener.close();
  await serving;
  assertEquals(ports, [first.localAddr.port, second.localAddr.port]);
});

test("Listener is closed by leaving the iteration", { timeout: 60_000 }, async () => {
  const transport = createLoopback();
  const listener = listen(ADDRESS, { transport });
  using _near = await connect(ADDRESS, { transport });
  for await (const conn of listener) {
    conn.close();
    break;
  }
  assertEquals(listener.socket.closed, true);
});

test("Listener passes on what is not the end of the iteration", async () => {
  const socket = fakeSocket({
    accept(): never {
      throw new SysError("accept4", "EMFILE");
    },
  });
  const serve = async (): Promise<void> => {
    for await (const conn of new Listener(socket)) conn.close();
  };
  assertEquals(await refusal(serve()), "accept EMFILE");
});

test("Listener hands its options on to connections", { timeout: 60_000 }, async () => {
  const transport = createLoopback();
  const options: NonNullable<ListenOptions["options"]> = {
    bufferSize: 1 << 20,
    rcvlowat: 100,
    zeroCopyReceive: true,
    zeroCopySend: true,
  };
  using listener = listen(ADDRESS, { transport, options });
  using _near = await connect(ADDRESS, { transport });
  using far = await listener.accept();
  assertEquals(far.options.bufferSize, 1 << 20);
  assertEquals(far.options.rcvlowat, 100);
  assertEquals(far.options.zeroCopyReceive, true);
  assertEquals(far.options.zeroCopySend, true);
});

test("Listener.accept() closes a connection that it cannot set up", async () => {
  const child = fakeSocket({
    setsockopt(): never {
      throw new SysError("setsockopt", "EINVAL");
    },
  });
  using listener = new Listener(fakeSocket({ accept: () => child }), { rcvlowat: 5 });
  assertEquals(await refusal(listener.accept()), "setsockopt EINVAL");
  assertEquals(child.closed, true);
});

test("Listener.accept() passes over connections that are gone", { timeout: 60_000 }, async () => {
  const gone = Array.from({ length: 300 }, () =>
    fakeSocket({
      remoteAddress(): never {
        throw new SysError("getpeername", "ENOTCONN");
      },
    }));
  const queue = [...gone, fakeSocket({ remoteAddress: () => ({ cid: 1, port: 7 }) })];
  const socket = fakeSocket({ accept: () => queue.shift(), wait: () => Promise.resolve(POLLIN) });
  using conn = await new Listener(socket).accept();
  assertEquals(conn.remoteAddr.port, 7);
  assert(gone.every(({ closed }) => closed));
});

test("Listener.accept() passes over TCP connections that were reset", {
  timeout: 60_000,
}, async () => {
  using listener = listen({ hostname: "127.0.0.1", port: 0 }, { options: { zeroCopySend: true } });
  const reset = async (): Promise<void> => {
    const conn = await connect(listener.addr);
    conn.socket.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array(Int32Array.of(1, 0).buffer));
    conn.close();
  };
  for (let count = 0; count < 3; count++) await reset();
  using near = await connect(listener.addr);
  using far = await listener.accept();
  assertEquals(far.remoteAddr, near.localAddr);
  const accepting = listener.accept();
  await reset();
  using later = await connect(listener.addr);
  using second = await accepting;
  assertEquals(second.remoteAddr, later.localAddr);
});

test("Listener is closed by using and by await using", async () => {
  const one = listen(ADDRESS, { transport: createLoopback() });
  const two = listen(ADDRESS, { transport: createLoopback() });
  {
    using _one = one;
    await using _two = two;
  }
  assertEquals([one.socket.closed, two.socket.closed], [true, true]);
  assertThrows(() => one.options.bufferSize, VsockError);
});
