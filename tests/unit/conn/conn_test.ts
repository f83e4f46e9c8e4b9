import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { POLLERR, POLLIN, POLLNVAL, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { SysError } from "../../../ffi/errno.ts";
import { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import type { Socket } from "../../../src/socket.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";
import { openPair, pattern, readAll } from "../../helpers/pair.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";

/** The code of the VsockError that `promise` rejects with, and its call. */
async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => promise, VsockError);
  return `${error.op} ${error.code}`;
}

test("Conn.read() gives what there is", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  assertEquals(await near.write(pattern(10)), 10);
  const p = new Uint8Array(64);
  assertEquals(await far.read(p), 10);
  assertEquals(p.subarray(0, 10), pattern(10));
  assertEquals([near.bytesWritten, far.bytesRead], [10, 10]);
});

test("Conn.read() with peek leaves the bytes queued", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.write(Uint8Array.of(1, 2, 3));
  const p = new Uint8Array(2);
  assertEquals([await far.read(p, { peek: true }), await far.read(p, { peek: true })], [2, 2]);
  assertEquals([far.bytesRead, await far.read(p), [...p], await far.read(p)], [0, 2, [1, 2], 1]);
  assertEquals(far.bytesRead, 3);
});

test("Conn.read() waits for the first byte", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const p = new Uint8Array(64);
  const reading = far.read(p);
  await near.write(Uint8Array.of(1, 2, 3));
  assertEquals(await reading, 3);
  assertEquals(p.subarray(0, 3), Uint8Array.of(1, 2, 3));
});

test("Conn.read() gives null at end of stream, and 0 for no room", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  assertEquals(await far.read(new Uint8Array(0)), 0);
  await near.write(Uint8Array.of(1));
  await near.closeWrite();
  assertEquals(await far.read(new Uint8Array(0)), 0);
  assertEquals(await far.read(new Uint8Array(8)), 1);
  assertEquals(await far.read(new Uint8Array(8)), null);
  assertEquals(await far.read(new Uint8Array(8)), null);
  assertEquals(await far.read(new Uint8Array(0)), 0);
});

test("Conn.write() takes all, however little credit there is", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near, far } = pair;
  const data = pattern(100_003);
  const writing = near.write(data);
  assertEquals(await readAll(far, data.length), data);
  assertEquals(await writing, data.length);
  assertEquals([near.bytesWritten, far.bytesRead], [data.length, data.length]);
});

test(
  "Conn.write() after close() is EBADF, after closeWrite() too",
  { timeout: 60_000 },
  async () => {
    using pair = await openPair("stream");
    const { near } = pair;
    await near.closeWrite();
    assertEquals(await refusal(near.write(Uint8Array.of(1))), "send EPIPE");
    near.close();
    assertEquals(await refusal(near.write(Uint8Array.of(1))), "send EBADF");
  },
);

test("Conn.write() that fails midway leaves the count", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near, far } = pair;
  const writing = near.write(new Uint8Array(10_000));
  far.close();
  assertEquals(await refusal(writing), "send EPIPE");
  assertEquals(near.bytesWritten, 4096);
});

test("Conn refuses a second read or write while one is pending", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near, far } = pair;
  const p = new Uint8Array(4);
  const reading = near.read(p);
  const writing = near.write(pattern(5000));
  assertEquals(await refusal(near.read(new Uint8Array(4))), "recv EBUSY");
  assertEquals(await refusal(near.write(Uint8Array.of(9))), "send EBUSY");
  assertEquals(await readAll(far, 5000), pattern(5000));
  assertEquals(await writing, 5000);
  await far.write(Uint8Array.of(1, 2));
  assertEquals(await reading, 2);
  await far.write(Uint8Array.of(3));
  assertEquals(await near.read(p), 1);
});

test("Conn refuses wrong arguments before all else", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const text = "text" as unknown as Uint8Array;
  await assertRejects(() => near.write(text), TypeError, "Cannot write p: must be a Uint8Array");
  await assertRejects(() => near.read(text), TypeError, "Cannot read into p");
  await assertRejects(() => near.write(Uint8Array.of(1), { timeoutMs: NaN }), RangeError);
  await assertRejects(() => near.read(new Uint8Array(1), { timeoutMs: -1 }), RangeError);
  assertEquals(far.socket.poll(POLLIN), 0);
});

/** Bytes whose buffer is somebody else's by now. */
function lost(): Uint8Array {
  const p = new Uint8Array(4);
  p.buffer.transfer();
  return p;
}

test("Conn refuses bytes that were transferred away, over each carrier", async () => {
  for (const open of [openPair, openTcpPair]) {
    using pair = await open();
    const { near, far } = pair;
    const says = "must have its buffer: current value is bytes that were transferred away";
    await near.write(pattern(3));
    await assertRejects(() => far.read(lost()), TypeError, `Cannot read into p: ${says}`);
    await assertRejects(() => far.write(lost()), TypeError, `Cannot write p: ${says}`);
    await assertRejects(() => far.write(lost(), { zeroCopy: true }), TypeError, says);
    assertEquals(await far.read(new Uint8Array(8)), 3);
    assertEquals(await far.write(new Uint8Array(0)), 0);
  }
  using pair = await openPair("seqpacket");
  await assertRejects(() => pair.near.sendMessage(lost()), TypeError, "Cannot send data");
  const receiving = pair.far.receiveMessage({ buffer: lost() });
  await assertRejects(() => receiving, TypeError, "Cannot receive into buffer");
});

test("Conn rejects where bytes are transferred away while it waits", async () => {
  for (const open of [openPair, openTcpPair]) {
    using pair = await open();
    const { near, far } = pair;
    const [into, from] = [new Uint8Array(4), new Uint8Array(16 << 20)];
    const both = [near.read(into), near.write(from)];
    structuredClone([into.buffer, from.buffer], { transfer: [into.buffer, from.buffer] });
    const ended = both.map((call) => assertRejects(() => call, TypeError));
    await far.write(pattern(1));
    const sink = new Uint8Array(1 << 20);
    while (near.bytesWritten > far.bytesRead) await far.read(sink);
    await Promise.all(ended);
    assertEquals(await near.read(new Uint8Array(4)), 1);
  }
});

test("Conn rejects with EBADF after close()", async () => {
  using pair = await openPair();
  const { near } = pair;
  near.close();
  near.close();
  assertEquals(await refusal(near.read(new Uint8Array(1))), "recv EBADF");
  assertEquals(await refusal(near.write(new Uint8Array(1))), "send EBADF");
  assertEquals(await refusal(near.closeWrite()), "shutdown EBADF");
  assertEquals(await refusal(near.closeRead()), "shutdown EBADF");
  assertEquals(assertThrows(() => near.unsentBytes, VsockError).code, "EBADF");
  assertEquals(near.remoteAddr, { transport: "vsock", cid: 1, port: 4000 });
});

test("Conn.close() ends what is pending with EBADF", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near } = pair;
  const ended = [
    refusal(near.read(new Uint8Array(1))),
    refusal(near.write(new Uint8Array(5000))),
  ];
  near.close();
  assertEquals(await Promise.all(ended), ["recv EBADF", "send EBADF"]);
});

test("Conn.read() rejects with ETIMEDOUT when the time is over", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const p = new Uint8Array(4);
  assertEquals(await refusal(near.read(p, { timeoutMs: 0 })), "recv ETIMEDOUT");
  assertEquals(await refusal(near.read(p, { timeoutMs: 2 })), "recv ETIMEDOUT");
  await far.write(Uint8Array.of(5));
  assertEquals(await near.read(p, { timeoutMs: 0 }), 1);
});

test("Conn.write() rejects with ETIMEDOUT, and the count tells", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near } = pair;
  const writing = near.write(new Uint8Array(5000), { timeoutMs: 2 });
  assertEquals(await refusal(writing), "send ETIMEDOUT");
  assertEquals(near.bytesWritten, 4096);
});

test("Conn.read() rejects with the reason of an abort", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const caller = new AbortController();
  const reading = near.read(new Uint8Array(4), { signal: caller.signal });
  const reason = new Error("enough");
  caller.abort(reason);
  assertStrictEquals(await reading.catch((error) => error), reason);
  await far.write(Uint8Array.of(5));
  const again = near.read(new Uint8Array(4), { signal: caller.signal });
  assertStrictEquals(await again.catch((error) => error), reason);
  assertEquals(await near.read(new Uint8Array(4)), 1);
});

test("Conn.closeRead() fails the peer's writes with EPIPE", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.closeRead();
  assertEquals(await near.read(new Uint8Array(4)), null);
  await near.write(Uint8Array.of(1));
  assertEquals(await far.read(new Uint8Array(4)), 1);
  assertEquals(await refusal(far.write(Uint8Array.of(1))), "send EPIPE");
});

test("Conn.closeWrite() leaves reading open", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.closeWrite();
  assertEquals(await refusal(near.write(Uint8Array.of(1))), "send EPIPE");
  await far.write(pattern(3));
  assertEquals(await readAll(near, 3), pattern(3));
});

test("Conn.unsentBytes counts what has not reached the peer", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  assertEquals(near.unsentBytes, 0);
  const writing = near.write(pattern(1000));
  assertEquals(near.unsentBytes, 1000);
  await writing;
  assertEquals(await far.read(new Uint8Array(2000)), 1000);
  assertEquals(near.unsentBytes, 0);
});

test("Conn is closed by using and by await using", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  {
    using _near = near;
    await using _far = far;
  }
  assertEquals([near.socket.closed, far.socket.closed], [true, true]);
});

test("Conn.receiver() is closed with the connection", async () => {
  using pair = await openPair("stream", { zeroCopyReceive: true });
  const { near, far } = pair;
  const receiver = far.receiver({ mode: "map" });
  await near.write(pattern(5));
  const [packet] = (await receiver.receive())!;
  const { data } = packet!;
  assertEquals(data, pattern(5));
  far.close();
  assertEquals(data.length, 0);
  assertEquals(assertThrows(() => receiver.tryReceive(), VsockError).code, "EBADF");
});

test("Conn waits again, letting others run, when poll promised too much", {
  timeout: 60_000,
}, async () => {
  let room = false;
  const socket = fakeSocket({
    wait: (events) => Promise.resolve(events & ~POLLNVAL),
    send: (data) => room ? data.length : -1,
    recv: () => room ? 1 : -1,
  });
  using conn = new Conn(socket);
  const both = [conn.write(new Uint8Array(4)), conn.read(new Uint8Array(4))];
  setTimeout(() => room = true, 0);
  assertEquals(await Promise.all(both), [4, 1]);
});

test("Conn takes no socket that is not connected", () => {
  const socket = fakeSocket({
    remoteAddress(): never {
      throw new SysError("getpeername", "ENOTCONN");
    },
  });
  const error = assertThrows(() => new Conn(socket), VsockError);
  assertEquals([error.op, error.code, socket.closed], ["getpeername", "ENOTCONN", false]);
});

test("Conn.write leaves a node:buffer to its owner", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  for (const length of [10_000, 65_536]) { // a packet that is not full, and one that is
    const chunk = Buffer.from(pattern(length).buffer);
    await near.write(chunk);
    chunk.fill(1);
    assertEquals(await readAll(far, length), pattern(length));
    assertEquals(chunk.length, length);
  }
});

test("Conn.close() closes all its receivers and the socket, though one of them throws", () => {
  const socket = fakeSocket({
    getsockopt: (_level, _name, value) => value.length,
    poll: () => POLLIN,
    recv: () => 1,
  });
  const conn = new Conn(socket);
  const receivers = [0, 1, 2].map(() => conn.receiver({ mode: "copy" }));
  const thrown = new Error("stolen");
  const batches = receivers.map((receiver) => receiver.tryReceive()!);
  for (const at of [0, 2]) {
    Object.assign(batches[at]!, {
      [Symbol.dispose]: () => {
        throw thrown;
      },
    });
  }
  assertStrictEquals(assertThrows(() => conn.close(), Error), thrown);
  assertEquals([socket.closed, batches[1]!.released], [true, true]);
  for (const receiver of receivers) assertThrows(() => receiver.tryReceive(), VsockError);
  conn.close();
});

test("Conn.read() gives the error that ended the connection, though a write had it", async () => {
  let room = 0;
  const script: Partial<Socket> = {
    wait: (events) => Promise.resolve(events),
    poll: () => POLLIN,
    send(): number {
      if (room-- === 0) throw new SysError("send", "ECONNRESET");
      return -1;
    },
    recv: () => 0,
  };
  for (room of [0, 1]) { // at once, and after a wait
    const conn = new Conn(fakeSocket(script));
    await assertRejects(() => conn.write(pattern(1)), VsockError, "ECONNRESET");
    await assertRejects(() => conn.read(new Uint8Array(8)), VsockError, "ECONNRESET");
  }
});

test("Conn.read() gives the error that ended the connection each time", async () => {
  let calls = 0;
  const recv = (): number => {
    if (calls++ === 0) throw new SysError("recv", "ECONNRESET");
    return 0; // Linux tells it once
  };
  const conn = new Conn(fakeSocket({ recv, poll: () => POLLIN }));
  for (let i = 0; i < 3; i++) {
    assertEquals(await refusal(conn.read(new Uint8Array(1))), "recv ECONNRESET");
  }
  assertEquals(calls, 3);
});

test("Conn.read() does not take what a call says of itself for the end", async () => {
  let calls = 0;
  const recv = (): number => {
    if (calls++ === 0) throw new SysError("recv", "EOPNOTSUPP");
    return 0;
  };
  const conn = new Conn(fakeSocket({ recv, poll: () => POLLIN }));
  assertEquals(await refusal(conn.read(new Uint8Array(1), { peek: true })), "recv EOPNOTSUPP");
  assertEquals(await conn.read(new Uint8Array(1)), null);
});

test("Conn.closeWrite() gives the error that ended the connection, and leaves it to read()", async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  await near.write(new Uint8Array(10));
  assertEquals(await far.read(new Uint8Array(1)), 1);
  far.close(); // with bytes unread
  await near.socket.wait(POLLIN);
  const error = await assertRejects(() => near.closeWrite(), VsockError);
  assertEquals([error.op, error.code], ["shutdown", "ECONNRESET"]);
  assertEquals(error.hint?.startsWith("the peer closed with bytes unread"), true);
  assertEquals(await refusal(near.closeRead()), "shutdown ECONNRESET");
  assertEquals(await refusal(near.read(new Uint8Array(1))), "recv ECONNRESET");
});

test("Conn.closeWrite() says that what was sent after the peer's end is lost", async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  far.close();
  assertEquals(await near.write(pattern(3)), 3);
  await near.socket.wait(POLLERR);
  const error = await assertRejects(() => near.closeWrite(), VsockError);
  assertEquals([error.op, error.code], ["shutdown", "EPIPE"]);
  assertEquals(error.hint?.endsWith("that is lost"), true);
});

test("Conn.closeWrite() has nothing to do after a clean end, as in Deno", async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  far.close();
  assertEquals(await near.read(new Uint8Array(1)), null);
  for (let i = 0; i < 3; i++) await near.closeWrite();
  await near.closeRead();
});

for (const zeroCopy of [false, true]) {
  test(`Conn.closeWrite() lets a ${zeroCopy ? "zero-copy " : ""}write that is pending go first`, {
    timeout: 60_000,
  }, async () => {
    using pair = await openPair();
    const { near, far } = pair;
    const sent = pattern(1 << 20);
    const writing = near.write(sent, { zeroCopy });
    const closing = near.closeWrite();
    assertEquals(await refusal(near.write(Uint8Array.of(1), { zeroCopy })), "send EPIPE");
    assertEquals(await readAll(far, 2 << 20), sent);
    assertEquals([await writing, await closing], [1 << 20, undefined]);
    assertEquals(await refusal(near.write(Uint8Array.of(1))), "send EPIPE");
  });
}

test("Conn.closeWrite() goes on where the write before it fails", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const writing = near.write(pattern(1 << 20), { timeoutMs: 20 });
  const closing = near.closeWrite();
  assertEquals(await refusal(writing), "send ETIMEDOUT");
  await closing;
  assertEquals((await readAll(far, 2 << 20)).length, near.bytesWritten);
});

test("Conn.write() refuses bytes that a resizable buffer has lost meanwhile", async () => {
  using pair = await openPair();
  const { near } = pair;
  const buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 });
  const writing = near.write(new Uint8Array(buffer));
  buffer.resize(1000);
  await readAll(pair.far, 262_144);
  await assertRejects(() => writing, TypeError, "must keep 1048576 or more bytes");
});

test("Conn shows whoever prints it nothing of what carries its bytes", async () => {
  using pair = await openPair();
  assertEquals(JSON.stringify(pair.near.socket), '{"type":"stream"}');
  assertEquals(Object.keys(pair.near), ["socket", "localAddr", "remoteAddr", "options"]);
});

test("Conn.read() says that a peer overran its credit though a write was told of it", async () => {
  const transport = createLoopback();
  using listener = listen({ cid: 1, port: 1024 }, { transport });
  const options = { bufferSize: 128 }; // less than any packet takes
  using near = await connect(listener.addr, { transport, options });
  using far = await listener.accept();
  await far.write(Uint8Array.of(1));
  await near.socket.wait(POLLRDHUP);
  await assertRejects(() => near.write(Uint8Array.of(1)), VsockError, "ENOBUFS");
  await assertRejects(() => near.read(new Uint8Array(1)), VsockError, "ENOBUFS");
});
