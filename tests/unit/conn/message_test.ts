import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import type { WaitOptions } from "../../../src/wait/waiting.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";
import { openPair, pattern } from "../../helpers/pair.ts";

test("Conn.receiveMessage() gives each message whole", { timeout: 60_000 }, async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  await near.sendMessage(pattern(3));
  await near.sendMessage(pattern(100_000), { endOfRecord: true });
  assertEquals(await far.receiveMessage(), {
    data: pattern(3),
    length: 3,
    truncated: false,
    endOfRecord: false,
  });
  const second = (await far.receiveMessage())!;
  assertEquals(second.data, pattern(100_000));
  assertEquals([second.truncated, second.endOfRecord], [false, true]);
  assertEquals([near.bytesWritten, far.bytesRead], [100_003, 100_003]);
});

test("Conn.receiveMessage() waits, and gives null at end of stream", {
  timeout: 60_000,
}, async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  const receiving = far.receiveMessage();
  await near.sendMessage(Uint8Array.of(7));
  assertEquals((await receiving)?.data, Uint8Array.of(7));
  await near.closeWrite();
  assertEquals(await far.receiveMessage(), null);
  assertEquals(await far.read(new Uint8Array(8)), null);
});

test("Conn.receiveMessage() says how long a truncated message was", async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  const buffer = new Uint8Array(4);
  await near.sendMessage(pattern(10));
  await near.sendMessage(pattern(11));
  const first = (await far.receiveMessage({ buffer }))!;
  assertEquals([first.data, first.length, first.truncated], [pattern(4), 10, true]);
  assertEquals(first.data.buffer, buffer.buffer);
  const second = (await far.receiveMessage({ maxBytes: 5 }))!;
  assertEquals([second.data, second.length, second.truncated], [pattern(5), 11, true]);
  assertEquals(far.socket.poll(POLLIN), 0);
});

test("Conn.receiveMessage() with peek leaves the message", async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  await near.sendMessage(pattern(10), { endOfRecord: true });
  const peeked = (await far.receiveMessage({ peek: true }))!;
  assertEquals(far.bytesRead, 0);
  assertEquals(await far.receiveMessage(), peeked);
  assertEquals([peeked.data, peeked.endOfRecord], [pattern(10), true]);
});

test("Conn.receiveMessage() tells an empty message from the end", async () => {
  let [polled, flags] = [0, 0];
  const socket = fakeSocket({
    recv(_buffer, _flags, out): number {
      if (out !== undefined) out.flags = flags;
      return 0;
    },
    poll: () => polled,
  }, "seqpacket");
  using conn = new Conn(socket);
  const empty = { data: new Uint8Array(0), length: 0, truncated: false, endOfRecord: false };
  assertEquals(await conn.receiveMessage(), empty);
  assertEquals(await conn.read(new Uint8Array(4)), 0);
  polled = 0x2000;
  assertEquals(await conn.receiveMessage(), null);
  assertEquals(await conn.read(new Uint8Array(4)), null);
  flags = 0x80;
  assertEquals(await conn.receiveMessage(), { ...empty, endOfRecord: true });
});

test("Conn.sendMessage() sends all or nothing", { timeout: 60_000 }, async () => {
  using pair = await openPair("seqpacket", { bufferSize: 4096 });
  const { near, far } = pair;
  const large = await assertRejects(() => near.sendMessage(pattern(4097)), VsockError);
  assertEquals([large.op, large.code], ["send", "EMSGSIZE"]);
  await near.sendMessage(pattern(3000));
  const late = near.sendMessage(pattern(2000), { timeoutMs: 5 });
  assertEquals((await assertRejects(() => late, VsockError)).code, "ETIMEDOUT");
  assertEquals(near.bytesWritten, 3000);
  const sending = near.sendMessage(pattern(2000));
  assertEquals((await far.receiveMessage())?.length, 3000);
  await sending;
  assertEquals((await far.receiveMessage())?.data, pattern(2000));
});

test("Conn.sendMessage() refuses what AF_VSOCK cannot carry", async () => {
  using pair = await openPair("seqpacket");
  await assertRejects(() => pair.near.sendMessage(new Uint8Array(0)), RangeError, "Cannot send");
  const text = "text" as unknown as Uint8Array;
  await assertRejects(() => pair.near.sendMessage(text), TypeError, "must be a Uint8Array");
});

test("Conn.sendMessage() and receiveMessage() refuse options that are no object", async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  for (const options of [null, 1, "x"] as unknown as WaitOptions[]) {
    const message = pattern(3);
    await assertRejects(() => near.sendMessage(message, options), TypeError, "must be an object");
    await assertRejects(() => far.receiveMessage(options), TypeError, "must be an object");
  }
  assertEquals(near.bytesWritten, 0);
});

test("Conn.receiveMessage() refuses a buffer or maxBytes without room", async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  await near.sendMessage(pattern(4));
  await assertRejects(() => far.receiveMessage({ buffer: new Uint8Array(0) }), RangeError);
  for (const maxBytes of [0, -1, 1.5, NaN]) {
    await assertRejects(() => far.receiveMessage({ maxBytes }), RangeError, "Cannot use maxBytes");
  }
  assertEquals((await far.receiveMessage())?.length, 4);
});

test("Conn has no messages on a stream", async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await assertRejects(() => near.sendMessage(Uint8Array.of(1)), TypeError, "seqpacket");
  await near.write(Uint8Array.of(1));
  await assertRejects(() => far.receiveMessage(), TypeError, "seqpacket");
  assertEquals(await far.read(new Uint8Array(4)), 1);
});

test("Conn.receiveMessage() and read() are one reader", { timeout: 60_000 }, async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  const reading = far.read(new Uint8Array(4));
  const busy = await assertRejects(() => far.receiveMessage(), VsockError);
  assertEquals([busy.op, busy.code], ["recv", "EBUSY"]);
  await near.write(Uint8Array.of(1, 2));
  assertEquals(await reading, 2);
});
