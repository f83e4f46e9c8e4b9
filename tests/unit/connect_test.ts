import { test } from "node:test";
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { POLLOUT } from "../../ffi/abi/poll.ts";
import { SysError } from "../../ffi/errno.ts";
import { requireAddress, type VsockAddress } from "../../src/address.ts";
import { connect, type ConnectOptions } from "../../src/connect.ts";
import { VsockError } from "../../src/error.ts";
import { listen } from "../../src/listen.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import type { Socket } from "../../src/socket.ts";
import { fakeSocket, fakeTransport } from "../helpers/fake_socket.ts";

const ADDRESS = { cid: 1, port: 4000 };

/** A socket whose connect never gets an answer; `waits` holds what it was told to wait for. */
function silentSocket(waits: number[] = []): Socket {
  return fakeSocket({
    connect: () => false,
    setsockopt: () => {},
    wait(events, signal): Promise<number> {
      waits.push(events);
      return new Promise((_, reject) => {
        const held = setTimeout(() => {}, 60_000);
        signal?.addEventListener("abort", () => {
          clearTimeout(held);
          reject(signal.reason);
        });
      });
    },
  });
}

test("connect() reaches a listener, by both addresses", { timeout: 60_000 }, async () => {
  const transport = createLoopback();
  using listener = listen(ADDRESS, { transport });
  using near = await connect(ADDRESS, { transport, localAddress: { cid: 1, port: 5000 } });
  using far = await listener.accept();
  assertEquals(near.localAddr, { transport: "vsock", cid: 1, port: 5000 });
  assertEquals(near.remoteAddr, { transport: "vsock", ...ADDRESS });
  assertEquals(far.localAddr.port, 4000);
  assertEquals(far.remoteAddr, { transport: "vsock", cid: 1, port: 5000 });
});

test(
  "connect() finds who listens on the loopback of the process",
  { timeout: 60_000 },
  async () => {
    const options = { transport: "loopback", type: "seqpacket" } as const;
    using listener = listen({ cid: 1, port: 4002 }, options);
    using near = await connect({ cid: 1, port: 4002 }, options);
    using far = await listener.accept();
    assertEquals([near.type, far.type], ["seqpacket", "seqpacket"]);
  },
);

test("connect() gives ECONNRESET where nobody listens", { timeout: 60_000 }, async () => {
  const transport = createLoopback();
  const error = await assertRejects(() => connect(ADDRESS, { transport }), VsockError);
  assertEquals([error.op, error.code, error.address], ["connect", "ECONNRESET", ADDRESS]);
});

test("connect() waits for POLLOUT, then asks for the error", async () => {
  const waits: number[] = [];
  const socket = fakeSocket({
    connect: () => false,
    wait(events): Promise<number> {
      waits.push(events);
      return Promise.resolve(POLLOUT);
    },
    takeError: () => 71,
  });
  const options = { transport: fakeTransport(socket) };
  const error = await assertRejects(() => connect(ADDRESS, options), VsockError);
  assertEquals([error.op, error.code], ["connect", "EPROTO"]);
  assertEquals([waits, socket.closed], [[POLLOUT], true]);
});

test("connect() gives ECONNRESET where the peer has reset the connection by then", async () => {
  const socket = fakeSocket({
    connect: () => true,
    remoteAddress(): never {
      throw new SysError("getpeername", "ENOTCONN");
    },
  });
  const options = { transport: fakeTransport(socket) };
  const error = await assertRejects(() => connect(ADDRESS, options), VsockError);
  assertEquals([error.op, error.code, error.address], ["connect", "ECONNRESET", ADDRESS]);
  assertEquals(socket.closed, true);
});

test("connect() gives up after timeoutMs", { timeout: 60_000 }, async () => {
  for (const timeoutMs of [0, 2]) {
    const socket = silentSocket();
    const options = { transport: fakeTransport(socket), timeoutMs };
    const error = await assertRejects(() => connect(ADDRESS, options), VsockError);
    assertEquals([error.op, error.code, socket.closed], ["connect", "ETIMEDOUT", true]);
  }
});

test("connect() sets the socket's own timeout too", { timeout: 60_000 }, async () => {
  const transport = createLoopback();
  using _listener = listen(ADDRESS, { transport });
  const timeouts: number[] = [];
  const options: readonly ConnectOptions[] = [
    {},
    { timeoutMs: 777 },
    { timeoutMs: Infinity },
    { timeoutMs: 777, options: { connectTimeoutMs: 5000 } },
    { timeoutMs: 777, options: { connectTimeoutMs: undefined } },
  ];
  for (const option of options) {
    using near = await connect(ADDRESS, { transport, ...option });
    timeouts.push(near.options.connectTimeoutMs);
  }
  assertEquals(timeouts, [2000, 777, 2 ** 31 - 1, 5000, 777]);
});

test("connect() rejects with the reason of an abort", { timeout: 60_000 }, async () => {
  const caller = new AbortController();
  const socket = silentSocket();
  const transport = fakeTransport(socket);
  const connecting = connect(ADDRESS, { transport, signal: caller.signal });
  const reason = new Error("enough");
  caller.abort(reason);
  assertStrictEquals(await connecting.catch((error) => error), reason);
  assertEquals(socket.closed, true);
  const again = connect(ADDRESS, { transport: fakeTransport(), signal: caller.signal });
  assertStrictEquals(await again.catch((error) => error), reason);
});

test("connect() closes what it opened when a step fails", async () => {
  const steps: readonly Partial<Socket>[] = [
    { bind: () => refuse("bind") },
    { connect: () => refuse("connect") },
    { setsockopt: () => refuse("setsockopt") },
    { localAddress: () => refuse("getsockname") },
    { remoteAddress: () => refuse("getpeername") },
  ];
  for (const step of steps) {
    const socket = fakeSocket({ setsockopt: () => {}, ...step });
    const options: ConnectOptions = {
      transport: fakeTransport(socket),
      localAddress: { cid: 1, port: 5000 },
      options: { rcvlowat: 1 },
    };
    const error = await assertRejects(() => connect(ADDRESS, options), VsockError);
    assertEquals(error.code, "EINVAL");
    assertEquals(socket.closed, true);
  }
});

function refuse(op: string): never {
  throw new SysError(op, "EINVAL");
}

test("connect() refuses wrong arguments before all else", async () => {
  const transport = fakeTransport();
  const ranges: readonly [number, number, ConnectOptions][] = [
    [-1, 1024, {}],
    [2 ** 32, 1024, {}],
    [1, NaN, {}],
    [1, 1024, { timeoutMs: NaN }],
    [1, 1024, { localAddress: { cid: 1, port: -1 } }],
    [1, 1024, { options: { connectTimeoutMs: -5 } }],
  ];
  for (const [cid, port, options] of ranges) {
    await assertRejects(() => connect({ cid, port }, { transport, ...options }), RangeError);
  }
  const types: readonly object[] = [
    { type: "dgram" },
    { transport: "tcp" },
    { signal: 5 },
    { options: null },
    { localAddress: "1:5" },
    { localAddress: { hostname: "127.0.0.1", port: 0 } },
    { localAddress: { path: "here", port: 5 } },
  ];
  for (const options of types) {
    await assertRejects(() => connect(ADDRESS, { transport, ...options }), TypeError);
  }
  await assertRejects(() => connect(ADDRESS, null as never), TypeError, "Cannot use options");
  await assertRejects(() => connect(1024 as never), TypeError, "Cannot use address");
});

test("connect() takes an address as a connection shows it, which says its transport", async () => {
  const transport = createLoopback();
  using listener = listen({ transport: "vsock", ...ADDRESS }, { transport });
  using near = await connect({ transport: "vsock", ...ADDRESS }, { transport });
  using far = await listener.accept();
  using again = await connect(far.localAddr, { transport });
  assertEquals(again.remoteAddr, near.remoteAddr);
  const wrong = { transport: "tcp", ...ADDRESS } as unknown as VsockAddress;
  await assertRejects(() => connect(wrong, { transport }), TypeError, 'must be "vsock"');
});

test("connect() and listen() refuse an address of two families, and name the members", async () => {
  const transport = fakeTransport();
  const port = 1024;
  const mixed: readonly object[] = [
    { hostname: "127.0.0.1", port, path: "/x" },
    { cid: 1, port, hostname: "::1" },
    { path: "/x", cid: 1, port },
  ];
  for (const address of mixed) {
    const has = ["cid", "hostname", "path"].filter((name) => name in address).join(", ");
    const says = `must have one of cid, hostname and path: current value has ${has}`;
    await assertRejects(() => connect(address as never, { transport }), TypeError, says);
    assertThrows(() => listen(address as never, { transport }), TypeError, says);
  }
  requireAddress({ path: "/x", port });
  requireAddress({ cid: 1, port, flags: 1 });
});
