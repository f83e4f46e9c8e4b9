import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { MSG_PEEK } from "../../../ffi/abi/socket.ts";
import { SysError } from "../../../ffi/errno.ts";
import { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";
import { openPair, pattern, readAll } from "../../helpers/pair.ts";

/** All bytes of a stream. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream as ReadableStream<BufferSource>).arrayBuffer());
}

test("Conn.readable gives all bytes, then ends", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near, far } = pair;
  const reading = collect(far.readable);
  await near.write(pattern(100_003));
  await near.closeWrite();
  assertEquals(await reading, pattern(100_003));
});

test("Conn is closed by the end of both its streams, as in Deno", { timeout: 60_000 }, async () => {
  for (const type of ["stream", "seqpacket"] as const) {
    using pair = await openPair(type);
    const { near, far } = pair;
    const echo = far.readable.pipeTo(far.writable);
    await near.write(pattern(9));
    const writer = near.writable.getWriter();
    await writer.close();
    assertEquals([near.socket.closed, await collect(near.readable)], [false, pattern(9)]);
    await echo;
    assertEquals([near.socket.closed, far.socket.closed], [true, true]);
  }
});

test("Conn is closed where one stream has failed and the other has ended", {
  timeout: 60_000,
}, async () => {
  for (const type of ["stream", "seqpacket"] as const) {
    using pair = await openPair(type);
    const { near, far } = pair;
    far.close();
    await near.socket.wait(POLLRDHUP);
    const writer = near.writable.getWriter();
    writer.closed.catch(() => {});
    await assertRejects(() => writer.write(pattern(9)), VsockError, "EPIPE");
    assertEquals(near.socket.closed, false);
    assertEquals(await collect(near.readable), new Uint8Array(0));
    assertEquals(near.socket.closed, true);
  }
});

test("Conn is closed where both its streams have failed, which nothing can cancel", {
  timeout: 60_000,
}, async () => {
  for (const type of ["stream", "seqpacket"] as const) {
    const fail = (): never => {
      throw new SysError("recv", "ECONNRESET");
    };
    const conn = new Conn(fakeSocket({ recv: fail, send: fail }, type));
    const reset = [VsockError, "ECONNRESET"] as const;
    await assertRejects(() => conn.readable.getReader().read(), ...reset);
    assertEquals(conn.socket.closed, false);
    await assertRejects(() => conn.writable.getWriter().write(pattern(9)), ...reset);
    assertEquals(conn.socket.closed, true);
  }
});

test("Conn is closed where a reader is left with half of an element", {
  timeout: 60_000,
}, async () => {
  for (const type of ["stream", "seqpacket"] as const) {
    using pair = await openPair(type);
    const { near, far } = pair;
    await near.write(pattern(3));
    await near.closeWrite();
    const reader = far.readable.getReader({ mode: "byob" });
    reader.closed.catch(() => {});
    assertEquals((await reader.read(new Uint16Array(8))).value?.length, 1);
    await assertRejects(() => reader.read(new Uint16Array(8)), TypeError);
    await far.writable.close();
    assertEquals(far.socket.closed, true);
  }
});

test("Conn is closed by an end that it could not tell the peer", { timeout: 60_000 }, async () => {
  const socket = fakeSocket({
    recv: () => 0,
    poll: () => POLLRDHUP,
    shutdown() {
      throw new SysError("shutdown", "ECONNRESET");
    },
  });
  const conn = new Conn(socket);
  assertEquals(await collect(conn.readable), new Uint8Array(0));
  await assertRejects(() => conn.writable.close(), VsockError, "ECONNRESET");
  assertEquals(socket.closed, true);
});

test("Conn.readable leaves writing open at the end", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.closeWrite();
  assertEquals(await collect(far.readable), new Uint8Array(0));
  await far.write(pattern(4));
  assertEquals(await readAll(near, 4), pattern(4));
});

test("Conn.readable fills the buffer that a reader brings", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const reader = far.readable.getReader({ mode: "byob" });
  const reading = reader.read(new Uint8Array(new ArrayBuffer(64), 8, 16));
  await near.write(pattern(10));
  const { value, done } = await reading;
  assertEquals([value, value?.byteOffset, done], [pattern(10), 8, false]);
  await near.closeWrite();
  const end = await reader.read(new Uint8Array(4));
  assertEquals([end.value?.length, end.done], [0, true]);
});

test("Conn.readable never reads ahead", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near, far } = pair;
  const reader = far.readable.getReader();
  await near.write(pattern(4096));
  const late = near.write(Uint8Array.of(1), { timeoutMs: 5 });
  assertEquals((await assertRejects(() => late, VsockError)).code, "ETIMEDOUT");
  assertEquals(far.bytesRead, 0);
  assertEquals((await reader.read()).value, pattern(4096));
  assertEquals(await near.write(Uint8Array.of(2)), 1);
});

test("Conn.readable never reads a message ahead", { timeout: 60_000 }, async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  const reader = far.readable.getReader();
  for (const length of [5, 6]) await near.sendMessage(pattern(length));
  assertEquals((await reader.read()).value, pattern(5));
  assertEquals(await far.receiveMessage({ timeoutMs: 0 }).then((message) => message?.length), 6);
});

test("Conn.readable passes over messages without bytes", { timeout: 60_000 }, async () => {
  const lengths = [0, 0, 3];
  const socket = fakeSocket({
    recv: (_, flags) => flags & MSG_PEEK ? lengths[0] ?? 0 : lengths.shift() ?? 0,
    poll: () => lengths.length === 0 ? POLLRDHUP : 0,
  }, "seqpacket");
  using conn = new Conn(socket);
  const reader = conn.readable.getReader();
  assertEquals((await reader.read()).value, new Uint8Array(3));
  assertEquals((await reader.read()).done, true);
});

test("Conn.readable closes the connection when it is cancelled", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const reader = far.readable.getReader();
  const reading = reader.read();
  await reader.cancel();
  assertEquals((await reading).done, true);
  assertEquals(far.socket.closed, true);
  assertEquals(await near.read(new Uint8Array(4)), null);
});

test("Conn.readable that a loop leaves closes, and the hint of the next call says so", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.write(pattern(10));
  for await (const bytes of far.readable) if (bytes.length === 10) break;
  for (const call of [far.write(pattern(1)), far.read(pattern(1)), far.closeWrite()]) {
    const { code, hint } = await assertRejects(() => call, VsockError);
    assertEquals([code, hint?.includes("cancelling `readable`")], ["EBADF", true]);
  }
});

test("Conn.readable.values({ preventCancel: true }) can be left open", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.write(pattern(10));
  for await (const bytes of far.readable.values({ preventCancel: true })) {
    if (bytes.length === 10) break;
  }
  await far.write(pattern(3));
  assertEquals(await readAll(near, 3), pattern(3));
});

test("Conn.readable fails with the connection", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { far } = pair;
  const reading = far.readable.getReader().read();
  far.close();
  assertEquals((await assertRejects(() => reading, VsockError)).code, "EBADF");
});

test("Conn.readable gives a chunk for each message", { timeout: 60_000 }, async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  const lengths = [3, 100_000, 1];
  for (const length of lengths) await near.sendMessage(pattern(length));
  await near.closeWrite();
  const reader = far.readable.getReader();
  for (const length of lengths) assertEquals((await reader.read()).value, pattern(length));
  assertEquals((await reader.read()).done, true);
});

test("Conn.readable fills buffers with messages in order", { timeout: 60_000 }, async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  const reader = far.readable.getReader({ mode: "byob" });
  await near.sendMessage(pattern(5));
  await near.closeWrite();
  assertEquals((await reader.read(new Uint8Array(3))).value, pattern(5).subarray(0, 3));
  assertEquals((await reader.read(new Uint8Array(3))).value, pattern(5).subarray(3));
  assertEquals((await reader.read(new Uint8Array(3))).done, true);
});

test("Conn.writable takes the next chunk when one is taken", { timeout: 60_000 }, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const { near, far } = pair;
  const writer = near.writable.getWriter();
  const first = writer.write(pattern(5000));
  assertEquals(writer.desiredSize, 0);
  assertEquals(await readAll(far, 5000), pattern(5000));
  await first;
  assertEquals(writer.desiredSize, 1);
});

test("Conn.writable ends what is sent when it is closed", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await new Blob([pattern(70_000)]).stream().pipeTo(near.writable);
  assertEquals(await readAll(far, 80_000), pattern(70_000));
  assertEquals(near.socket.closed, false);
  await far.write(Uint8Array.of(1));
  assertEquals(await near.read(new Uint8Array(4)), 1);
});

test("Conn.writable is aborted at once, though a write waits for its peer", {
  timeout: 60_000,
}, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const writer = pair.near.writable.getWriter();
  const writing = writer.write(pattern(100_003));
  await pair.far.read(new Uint8Array(1));
  const aborting = writer.abort(new RangeError("enough"));
  await assertRejects(() => writing, VsockError);
  await aborting.catch(() => {}); // runtimes differ in whether it fails with the write
  assertEquals(pair.near.socket.closed, true);
});

test("Conn.writable closes the connection when it is aborted", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.writable.abort();
  assertEquals(near.socket.closed, true);
  assertEquals(await far.read(new Uint8Array(4)), null);
});

test("Conn.writable fails with EPIPE when the peer is gone", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  far.close();
  const writer = near.writable.getWriter();
  writer.closed.catch(() => {});
  await Promise.resolve();
  const error = await assertRejects(() => writer.write(Uint8Array.of(1)), VsockError);
  assertEquals(error.code, "EPIPE");
});

test("Conn.readable and Conn.writable are made once", async () => {
  using pair = await openPair();
  const { near } = pair;
  assertEquals(near.readable === near.readable, true);
  assertEquals(near.writable === near.writable, true);
});
