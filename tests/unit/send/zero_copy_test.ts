/**
 * Zero-copy writes over TCP on this machine. Its loopback copies in the end, but what the peer has
 * no room for stays in the sender's memory until then.
 */
import { Buffer } from "node:buffer";
import { readlinkSync } from "node:fs";
import { test } from "node:test";
import { setImmediate, setTimeout as pause } from "node:timers/promises";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { POLLERR, POLLIN, POLLNVAL } from "../../../ffi/abi/poll.ts";
import {
  AF_UNIX,
  MSG_NOSIGNAL,
  MSG_ZEROCOPY,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "../../../ffi/abi/socket.ts";
import { SysError } from "../../../ffi/errno.ts";
import { close, send, socketpair } from "../../../ffi/libc.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import type { Address, TcpAddress } from "../../../src/address.ts";
import type { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import { Hold, isHeld } from "../../../src/kernel/reactor.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { SocketOptions } from "../../../src/options.ts";
import { MsgZeroCopy } from "../../../src/send/zero_copy.ts";
import { pattern } from "../../helpers/pair.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";
import { until } from "../../helpers/until.ts";

const LIMIT = { timeout: 60_000 };
/** More than the buffers of both ends take. */
const LARGE = 32 * 1024 * 1024;
const CHUNK = 1 << 20;
const PERIODS = pattern(CHUNK + 251);

/**
 * All that comes until the end, or until `length` bytes: whether it is the pattern, from `from`.
 */
async function readPattern(conn: Conn<Address>, length: number, from = 0): Promise<number> {
  const p = new Uint8Array(CHUNK);
  let have = 0;
  while (have < length) {
    const n = await conn.read(p.subarray(0, Math.min(CHUNK, length - have)));
    if (n === null) break;
    const expected = PERIODS.subarray((from + have) % 251).subarray(0, n);
    if (Buffer.compare(p.subarray(0, n), expected) !== 0) throw new Error(`bytes from ${have} on`);
    have += n;
  }
  return have;
}

/** How a promise ended, `undefined` so far. */
function watch<T>(promise: Promise<T>): { result: unknown } {
  const seen = { result: undefined as unknown };
  promise.then((value) => seen.result = value, (error) => seen.result = error);
  return seen;
}

/** Many turns of the event loop. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await setImmediate();
}

test("Conn.write() with zeroCopy resolves when the kernel no longer reads", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const data = pattern(LARGE);
  const writing = near.write(data, { zeroCopy: true })
    .then((length) => [length, near.zeroCopy.pending]);
  const seen = watch(writing);
  await turns();
  const { pending } = near.zeroCopy;
  assertEquals([seen.result, pending > 0, near.zeroCopy.unsupported], [undefined, true, undefined]);
  for (let have = 0; have < LARGE;) {
    have += await readPattern(far, CHUNK, have);
    await turns(); // for records to come one by one
  }
  assertEquals(await writing, [LARGE, 0]);
  data.fill(255);
  const { sent, copied } = near.zeroCopy;
  assertEquals([sent + copied, near.bytesWritten], [LARGE, LARGE]);
});

test("Conn.write() with zeroCopy takes any length, over IPv6 too", LIMIT, async () => {
  using pair = await openTcpPair("::1");
  const { near, far } = pair;
  for (const length of [0, 1, 4095, 4096, 4097, 65_537, 600_001]) {
    const data = pattern(length);
    const reading = readPattern(far, length);
    const timeoutMs = length < 10_000 ? 0 : undefined; // which it does not need: there is room
    assertEquals(await near.write(data, { zeroCopy: true, timeoutMs }), length);
    data.fill(255);
    assertEquals(await reading, length);
  }
  assertEquals(near.zeroCopy.unsupported, undefined);
});

for (
  const [end, options] of [
    ["an abort", (): object => ({ signal: AbortSignal.timeout(50) })],
    ["its timeoutMs", (): object => ({ timeoutMs: 50 })],
  ] as const
) {
  test(`Conn.write() with zeroCopy hands back nothing early at ${end}`, LIMIT, async () => {
    using pair = await openTcpPair();
    const { near, far } = pair;
    const data = pattern(LARGE);
    const writing = near.write(data, { zeroCopy: true, ...options() });
    const seen = watch(writing);
    const began = performance.now();
    while (performance.now() - began < 200) await turns();
    assertEquals(seen.result, undefined);
    const taken = near.bytesWritten;
    assert(near.zeroCopy.pending > 0 && taken < LARGE);
    const reading = readPattern(far, taken);
    await assertRejects(() => writing);
    data.fill(255); // what is still to be read must have been copied by now
    assertEquals(await reading, taken);
    assertEquals([near.zeroCopy.pending, near.bytesWritten], [0, taken]);
    // The connection lives on, and no byte more was sent.
    await near.write(pattern(10));
    assertEquals(await readPattern(far, 10), 10);
  });
}

/** What `fd` is of, if it is open. */
function openFile(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

test("Conn.close() hands back nothing early, and loses nothing", LIMIT, async () => {
  const { near, far } = await openTcpPair();
  const { fd } = near.socket as KernelSocket<TcpAddress>;
  const before = openFile(fd);
  const data = pattern(LARGE);
  const writing = near.write(data, { zeroCopy: true });
  const seen = watch(writing);
  await turns();
  const taken = near.bytesWritten;
  near.close();
  near.close();
  await turns();
  assertEquals(seen.result, undefined);
  const reading = readPattern(far, LARGE);
  const error = await assertRejects(() => writing, VsockError);
  assertEquals(error.code, "EBADF");
  data.fill(255);
  assertEquals(await reading, taken);
  assertEquals(near.zeroCopy.pending, 0);
  // The descriptor goes right after the last record.
  await until(() => openFile(fd) !== before);
  far.close();
});

test("Conn.write() with zeroCopy of mapped memory outlives its region", LIMIT, async () => {
  const { near, far } = await openTcpPair();
  let writing: Promise<number>;
  let taken: number;
  {
    using _near = near;
    using region = new MappedRegion(LARGE);
    const data = region.lend(0, LARGE);
    data.set(pattern(LARGE));
    writing = near.write(data, { zeroCopy: true });
    taken = near.bytesWritten;
  }
  assert(near.zeroCopy.pending > 0);
  // Whoever asks for memory now gets what was unmapped, were the kernel not to hold it.
  using other = new MappedRegion(LARGE);
  other.lend(0, LARGE).fill(255);
  const [got] = await Promise.all([
    readPattern(far, LARGE),
    assertRejects(() => writing, VsockError, "EBADF"),
  ]);
  assertEquals(got, taken);
  far.close();
});

test("Conn.write() with zeroCopy tells of a buffer transferred away", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const data = pattern(LARGE);
  const writing = near.write(data, { zeroCopy: true });
  const reading = readPattern(far, LARGE);
  const keeper = data.buffer.transfer();
  const error = await assertRejects(() => writing, VsockError);
  assert(error.code === "EFAULT" && error.hint?.includes("transferred"), error.message);
  near.close();
  await reading;
  assertEquals(keeper.byteLength, LARGE);
});

test(
  "Conn.write() with zeroCopy tells of a buffer transferred once all is taken",
  LIMIT,
  async () => {
    using pair = await openTcpPair();
    const { near, far } = pair;
    const data = pattern(CHUNK / 2);
    const writing = near.write(data, { zeroCopy: true });
    const keeper = data.buffer.transfer();
    assertEquals([near.bytesWritten, near.zeroCopy.pending], [CHUNK / 2, CHUNK / 2]);
    assertEquals(await readPattern(far, CHUNK / 2), CHUNK / 2);
    await assertRejects(() => writing, VsockError, "EFAULT");
    assertEquals(keeper.byteLength, CHUNK / 2);
  },
);

test("Conn.write() with zeroCopy of mapped memory is whole once all is taken", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  using region = new MappedRegion(CHUNK / 2);
  const writing = near.write(region.lend(0, CHUNK / 2), { zeroCopy: true });
  await turns();
  assertEquals([near.bytesWritten, near.zeroCopy.pending], [CHUNK / 2, CHUNK / 2]);
  region.unmap();
  for (let have = 0; have < CHUNK / 2;) have += await far.read(new Uint8Array(CHUNK)) ?? 0;
  assertEquals(await writing, CHUNK / 2);
});

test("Conn.write() with zeroCopy may be called again before, in order", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const part = 251 * 40_000;
  const parts = Array.from({ length: 4 }, () => near.write(pattern(part), { zeroCopy: true }));
  await assertRejects(() => near.write(pattern(1)), VsockError, "EBUSY");
  const late = near.write(pattern(part), { zeroCopy: true, timeoutMs: 20 });
  const error = await assertRejects(() => late, VsockError, "ETIMEDOUT");
  assertEquals(error.address, near.remoteAddr);
  const last = near.write(pattern(part), { zeroCopy: true });
  assertEquals(await readPattern(far, part * 5), part * 5);
  assertEquals(await Promise.all([...parts, last]), Array.from({ length: 5 }, () => part));
});

test("Socket.poll() that takes the last records leaves no wait for them", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const length = 512 * 1024;
  const writing = near.write(pattern(length), { zeroCopy: true });
  await turns();
  assertEquals([near.zeroCopy.pending > 0, near.bytesWritten, isHeld()], [true, length, true]);
  const p = new Uint8Array(CHUNK);
  while (near.zeroCopy.pending > 0) {
    far.socket.recv(p, 0);
    near.socket.poll(0);
  }
  assertEquals(await writing, length);
  await turns();
  assertEquals(isHeld(), false);
  // Those of the next write are waited for again.
  while (far.socket.recv(p, 0) > 0);
  const next = near.write(pattern(LARGE), { zeroCopy: true });
  assertEquals([await readPattern(far, LARGE), await next], [LARGE, LARGE]);
});

test("Conn.read() waits on while records come", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const reading = watch(near.read(new Uint8Array(8)));
  const waiting = watch(near.socket.wait(POLLIN));
  for (let round = 0; round < 50; round++) {
    const writing = near.write(pattern(100_000), { zeroCopy: true });
    await Promise.all([writing, readPattern(far, 100_000, 0)]);
  }
  assertEquals([reading.result, waiting.result], [undefined, undefined]);
  assertEquals([near.socket.poll(0) & POLLERR, near.socket.takeError()], [0, 0]);
  await far.write(pattern(3));
  await until(() => reading.result !== undefined);
  assertEquals([reading.result, waiting.result], [3, POLLIN]);
});

test("Conn.write() with zeroCopy rejects when the receiver is gone", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const writing = near.write(pattern(LARGE), { zeroCopy: true });
  await turns();
  assert(near.zeroCopy.pending > 0);
  far.close(); // with data that it has not read: a reset
  const error = await assertRejects(() => writing, VsockError);
  assert(["ECONNRESET", "EPIPE"].includes(error.code), error.code);
  assertEquals(near.zeroCopy.pending, 0);
  const again = await assertRejects(
    () => near.write(pattern(9000), { zeroCopy: true }),
    VsockError,
  );
  assert(["ECONNRESET", "EPIPE"].includes(again.code), again.code);
});

test(
  "Conn.write() with zeroCopy rejects when the receiver is gone once all is taken",
  LIMIT,
  async () => {
    using pair = await openTcpPair();
    const { near, far } = pair;
    const writing = near.write(pattern(CHUNK / 2), { zeroCopy: true });
    await turns();
    assertEquals(near.bytesWritten, CHUNK / 2);
    far.close();
    await assertRejects(() => writing, VsockError, "ECONNRESET");
  },
);

test("Conn.write() with zeroCopy leaves nothing behind of 10,000 writes", {
  timeout: 240_000,
}, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const [size, rounds] = [251 * 20, 10_000];
  const data = pattern(size);
  const reading = readPattern(far, size * rounds);
  for (let round = 0; round < rounds; round++) await near.write(data, { zeroCopy: true });
  assertEquals(await reading, size * rounds);
  const { sent, copied, pending } = near.zeroCopy;
  assertEquals([sent + copied, pending, near.socket.zeroCopy?.reap()], [size * rounds, 0, 0]);
});

test("Conn.writableOf() with zeroCopy writes each chunk, then ends", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  const writer = near.writableOf({ zeroCopy: true }).getWriter();
  const reading = readPattern(far, Infinity);
  for (let round = 0; round < 4; round++) await writer.write(pattern(251 * 1000));
  await writer.close();
  assertEquals(await reading, 251 * 4000);
  assert(near.zeroCopy.sent + near.zeroCopy.copied > 0);
});

test(
  "Conn.writableOf() with zeroCopy closes at an abort, not when the peer reads",
  LIMIT,
  async () => {
    const { near, far } = await openTcpPair();
    using _far = far;
    const writer = near.writableOf({ zeroCopy: true }).getWriter();
    const writing = assertRejects(() => writer.write(pattern(LARGE)));
    writer.closed.catch(() => {});
    await turns();
    const taken = near.bytesWritten;
    const aborting = writer.abort(new Error("enough"));
    assertEquals(near.socket.closed, true);
    assertEquals(await readPattern(far, LARGE), taken);
    await Promise.all([writing, aborting]);
  },
);

test(
  "Conn.write() with zeroCopy turns SO_ZEROCOPY on again where it was turned off",
  LIMIT,
  async () => {
    using pair = await openTcpPair();
    const { near, far } = pair;
    for (const on of [true, false, true]) {
      near.options.zeroCopySend = on;
      const reading = readPattern(far, 100_000);
      assertEquals(await near.write(pattern(100_000), { zeroCopy: true }), 100_000);
      assertEquals([await reading, near.options.zeroCopySend], [100_000, true]);
    }
  },
);

test(
  "Socket.zeroCopy.watch() is told of each send, whenever the last wait ends",
  LIMIT,
  async () => {
    using pair = await openTcpPair();
    const { near: { socket }, far } = pair;
    const p = new Uint8Array(CHUNK);
    for (let ticks = 0; ticks < 8; ticks++) {
      const first = socket.zeroCopy!.send(pattern(CHUNK / 8), () => {});
      socket.zeroCopy?.watch();
      await turns();
      for (let have = 0; have < first;) have += Math.max(0, far.socket.recv(p, 0));
      socket.poll(0); // takes the record that the wait is for
      for (let tick = 0; tick < ticks; tick++) await undefined;
      const { promise, resolve } = Promise.withResolvers<number>();
      const second = socket.zeroCopy!.send(pattern(CHUNK / 8), resolve);
      socket.zeroCopy?.watch();
      assertEquals([await readPattern(far, second), await promise], [second, second]);
    }
  },
);

test("Socket.zeroCopy.watch() ends where somebody has closed the descriptor", LIMIT, async () => {
  const { near, far } = await openTcpPair();
  const { zeroCopy, fd } = near.socket as KernelSocket<TcpAddress>;
  zeroCopy?.send(pattern(CHUNK), () => {});
  assertEquals(zeroCopy?.reap(), 0);
  close(fd);
  zeroCopy?.watch();
  await turns();
  assertEquals(isHeld(), false);
  far.close();
});

test("MsgZeroCopy copies, and says why, where the kernel refuses SO_ZEROCOPY", () => {
  const [fd, peer] = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  const none = (): Promise<void> => Promise.reject(new Error("there is nothing to wait for"));
  const lender = { fd, mostBytes: CHUNK, copiesParts: false, waits: new Hold(), waitRoom: none };
  const sender = new MsgZeroCopy({ ...lender, closeFd: () => close(fd) });
  const told: unknown[] = [];
  assertEquals(sender.send(pattern(9000), (...done) => told.push(...done)), 9000);
  assertEquals(sender.unsupported, "the kernel refuses SO_ZEROCOPY here: EOPNOTSUPP");
  assertEquals([told, sender.size, sender.close(() => {})], [[9000, true], 0, false]);
  for (const end of [fd, peer]) close(end);
});

test(
  "Conn.write() with zeroCopy copies once somebody else has used MSG_ZEROCOPY",
  LIMIT,
  async () => {
    using pair = await openTcpPair();
    const { near, far } = pair;
    const socket = near.socket as KernelSocket<TcpAddress>;
    const writing = near.write(pattern(9000), { zeroCopy: true });
    assertEquals([await readPattern(far, 9000), await writing], [9000, 9000]);
    assertEquals(send(socket.fd, pattern(9000), MSG_NOSIGNAL | MSG_ZEROCOPY), 9000);
    while (near.zeroCopy.unsupported === undefined) socket.poll(0);
    assertMatch(near.zeroCopy.unsupported, /somebody else sends on this descriptor/);
    const { copied } = near.zeroCopy;
    near.options.zeroCopySend = false; // which nobody turns on again for nothing
    await near.write(pattern(9000), { zeroCopy: true });
    assertEquals([near.zeroCopy.copied - copied, near.zeroCopy.pending], [9000, 0]);
    assertEquals(near.options.zeroCopySend, false);
  },
);

test("MsgZeroCopy.end() closes its socket, whoever has the number then", LIMIT, async () => {
  const { near, far } = await openTcpPair();
  const { zeroCopy, fd } = near.socket as KernelSocket<TcpAddress>;
  assert(zeroCopy instanceof MsgZeroCopy);
  near.write(pattern(LARGE), { zeroCopy: true }).catch(() => {});
  await turns();
  zeroCopy.end(performance.now());
  const pair = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  assert(pair.includes(fd), `${pair}, not ${fd}`);
  assertEquals([near.socket.closed, near.socket.poll(0), zeroCopy.reap(1)], [true, POLLNVAL, 0]);
  near.close();
  for (const end of pair) assertEquals(send(end, pattern(3), MSG_NOSIGNAL), 3);
  await turns();
  assertEquals(isHeld(), false);
  for (const end of pair) close(end);
  far.close();
});

test("MsgZeroCopy.end() leaves a connection whose sends are over by then", LIMIT, async () => {
  using pair = await openTcpPair();
  const { near: { socket }, far } = pair;
  const { zeroCopy } = socket;
  assert(zeroCopy instanceof MsgZeroCopy);
  let over = 0;
  assertEquals(zeroCopy.send(pattern(9000), () => over++), 9000);
  zeroCopy.end(performance.now() + 50_000);
  assertEquals([zeroCopy.size, over, socket.closed], [0, 1, false]);
  assertEquals(await readPattern(far, 9000), 9000);
});

test("Socket.zeroCopy of a closed socket touches nobody's descriptor", LIMIT, async () => {
  const { near, far } = await openTcpPair();
  const { zeroCopy } = near.socket;
  near.close();
  far.close();
  using pair = await openTcpPair(); // has their numbers now
  const { socket } = pair.near;
  assertEquals([far.zeroCopy.sent, far.socket.zeroCopy], [0, undefined]);
  assertEquals([zeroCopy?.reap(), zeroCopy?.unsupported], [0, undefined]);
  assertThrows(() => zeroCopy?.send(pattern(9000), () => {}), SysError, "EBADF");
  await assertRejects(() => far.write(pattern(9000), { zeroCopy: true }), VsockError, "EBADF");
  assertEquals(new SocketOptions(socket).zeroCopySend, false);
  let over = 0;
  for (const { socket } of [pair.near, pair.far]) {
    assertEquals(socket.zeroCopy?.send(pattern(9000), () => over++), 9000);
    while (socket.outq() > 0); // then it has a record
  }
  assertEquals([zeroCopy?.reap(), over], [0, 0]);
  assertEquals([pair.near.socket.zeroCopy?.reap(), pair.far.socket.zeroCopy?.reap()], [1, 1]);
});

test("Conn.write() with zeroCopy settles where both ends close unread", LIMIT, async () => {
  using pair = await openTcpPair("127.0.0.1", { receiveBufferSize: 8192 });
  const { near, far } = pair;
  // Neither has room for the other's bytes, nor then for its close.
  const writes = [near, far].map((conn) => conn.write(pattern(CHUNK), { zeroCopy: true }));
  const seen = writes.map(watch);
  await pause(100);
  assertEquals(seen.map(({ result }) => result), [undefined, undefined]);
  near.close();
  far.close();
  const held = setInterval(() => {}, 1_000); // the waits of closed connections hold nobody
  const settled = await Promise.allSettled(writes);
  clearInterval(held);
  assertEquals(settled.map(({ status }) => status), ["rejected", "rejected"]);
});
