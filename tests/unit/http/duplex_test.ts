import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type OutgoingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { nextTick } from "node:process";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertLess, assertThrows } from "@std/assert";
import { POLLRDHUP } from "../../../ffi/abi/poll.ts";
import type { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import { toDuplex } from "../../../src/http/duplex.ts";
import { runChild } from "../../helpers/child.ts";
import { openPair, pattern, readAll } from "../../helpers/pair.ts";
import { RUNTIME } from "../../helpers/runtime.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";

const limit = { timeout: 60_000 };

/** Turns of the event loop until `count` stays what it is. */
async function settled(count: () => number): Promise<number> {
  for (let before = -1; before !== count();) {
    before = count();
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return count();
}

test("toDuplex carries 64 MiB each way", limit, async () => {
  using pair = await openPair();
  const chunk = Buffer.from(pattern(65_536));
  const count = 1024;
  const carry = async (from: Conn, to: Conn): Promise<string> => {
    const [writer, reader] = [toDuplex(from), toDuplex(to)];
    const hash = createHash("sha256");
    reader.on("data", (data) => hash.update(data));
    for (let i = 0; i < count; i++) if (!writer.write(chunk)) await once(writer, "drain");
    writer.end();
    await once(reader, "end");
    return hash.digest("hex");
  };
  const wanted = createHash("sha256");
  for (let i = 0; i < count; i++) wanted.update(chunk);
  const sent = wanted.digest("hex");
  assertEquals(await carry(pair.near, pair.far), sent);
  using other = await openPair();
  assertEquals(await carry(other.far, other.near), sent);
});

test("toDuplex sends what is written in one turn in one piece", {
  ...limit,
  skip: RUNTIME !== "bun" && "only the node:http of Bun writes a response in two pieces",
}, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  duplex.write("head");
  duplex.write("body");
  assertEquals(await pair.far.read(new Uint8Array(64)), 8);
  duplex.end("tail"); // nothing is left behind
  assertEquals(await readAll(pair.far, 4), new TextEncoder().encode("tail"));
});

test("toDuplex reads no more than its reader takes", limit, async () => {
  using pair = await openPair();
  toDuplex(pair.far);
  let taken = 0;
  const writing = (async () => {
    for (;;) taken += await pair.near.write(pattern(65_536));
  })();
  writing.catch(() => {});
  assertEquals(await settled(() => pair.far.bytesRead), 0);
  assertLess(taken, 1 << 20);
});

test("toDuplex holds its writer back", limit, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const duplex = toDuplex(pair.near);
  let sent = 0;
  while (duplex.write(pattern(65_536))) sent += 1;
  assertLess(sent, 4);
  let drained = false;
  duplex.once("drain", () => drained = true);
  await settled(() => pair.near.bytesWritten);
  assertEquals(drained, false);
  await Promise.all([once(duplex, "drain"), readAll(pair.far, 65_536 * (sent + 1))]);
});

test("toDuplex ends each direction by itself, and then closes", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  duplex.end("ask");
  assertEquals(await readAll(pair.far, 10), new TextEncoder().encode("ask"));
  await pair.far.write(pattern(5));
  duplex.resume();
  await settled(() => pair.near.bytesRead);
  assertEquals([duplex.readyState, pair.near.socket.closed], ["readOnly", false]);
  await pair.far.closeWrite();
  await once(duplex, "close");
  assertEquals([duplex.readyState, pair.near.socket.closed], ["closed", true]);
});

test("ConnDuplex closes with its peer where allowHalfOpen is false", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  duplex.allowHalfOpen = false;
  duplex.resume();
  await pair.far.closeWrite();
  await once(duplex, "close");
  assertEquals(pair.near.socket.closed, true);
});

test("ConnDuplex.destroy closes the connection and says why", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  duplex.resume(); // a read is pending
  const why = new RangeError("enough");
  const told = once(duplex, "error");
  duplex.destroy(why);
  assertEquals(await told, [why]);
  assertEquals(pair.near.socket.closed, true);
  assertEquals(await pair.far.read(new Uint8Array(1)), null);
});

test("ConnDuplex fails with a VsockError when the peer is gone", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  pair.far.close();
  await settled(() => 0);
  duplex.write("more");
  const [error] = await once(duplex, "error");
  assertInstanceOf(error, VsockError);
  assertEquals([error.code, pair.near.socket.closed], ["EPIPE", true]);
});

test("ConnDuplex.end after a reset leaves what has come to be read", limit, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  await near.write(pattern(10));
  await far.read(new Uint8Array(1));
  await far.write(pattern(5));
  far.close(); // with bytes unread
  await near.socket.wait(POLLRDHUP);
  const duplex = toDuplex(near);
  await new Promise<void>((resolve) => void duplex.end(resolve));
  const chunks: Uint8Array[] = [];
  duplex.on("data", (chunk) => chunks.push(chunk));
  const [error] = await once(duplex, "error");
  assertEquals(Buffer.concat(chunks), Buffer.from(pattern(5)));
  assertEquals((error as VsockError).code, "ECONNRESET");
});

test("ConnDuplex gives what a peer said before a write to it failed", limit, async () => {
  using pair = await openTcpPair();
  const { near, far } = pair;
  await near.write(pattern(10));
  await far.read(new Uint8Array(1));
  await far.write(pattern(100_000));
  far.close(); // with bytes unread
  await near.socket.wait(POLLRDHUP);
  const duplex = toDuplex(near);
  const chunks: Uint8Array[] = [];
  duplex.on("data", (chunk) => chunks.push(chunk));
  duplex.write("more");
  const [error] = await once(duplex, "error");
  assertEquals(Buffer.concat(chunks), Buffer.from(pattern(100_000)));
  assertInstanceOf(error, VsockError);
});

test("ConnDuplex fails a write at once where nobody reads what has come", limit, async () => {
  using pair = await openPair();
  await pair.far.write(pattern(5));
  pair.far.close();
  const duplex = toDuplex(pair.near);
  await settled(() => 0);
  duplex.write("more");
  const [error] = await once(duplex, "error");
  assertEquals((error as VsockError).code, "EPIPE");
});

test("ConnDuplex.setTimeout emits timeout, and closes nothing", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  const hold = setInterval(() => {}, 1000); // its own timer keeps no process alive
  let calls = 0;
  duplex.setTimeout(5, () => calls++);
  await once(duplex, "timeout");
  clearInterval(hold);
  assertEquals([calls, duplex.timeout, duplex.destroyed], [1, 5, false]);
  duplex.setTimeout(5).setTimeout(0);
  duplex.once("timeout", () => calls++);
  await settled(() => calls);
  assertEquals(calls, 1);
});

test("ConnDuplex emits no timeout while a long write goes on", limit, async () => {
  using pair = await openPair("stream", { bufferSize: 4096 });
  const duplex = toDuplex(pair.near);
  duplex.on("error", () => {}); // it is closed amid the write
  duplex.write(Buffer.alloc(1 << 20));
  await readAll(pair.far, 10_000);
  assert(duplex.bytesWritten >= 10_000 && duplex.writableLength === 1 << 20);
  let looks = 0;
  const until = 5;
  Object.defineProperty(pair.near, "bytesWritten", { get: () => Math.min(++looks, until) });
  const hold = setInterval(() => {}, 1000); // its own timer keeps no process alive
  await once(duplex.setTimeout(1), "timeout");
  clearInterval(hold);
  assertEquals(looks, until + 1);
});

test("ConnDuplex.setTimeout counts anew, behind timers of its caller's", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  const calls: string[] = [];
  const over = new Promise<void>((resolve) => {
    duplex.setTimeout(5, () => resolve(void calls.push("duplex")));
    setTimeout(() => calls.push("caller"), 5);
    duplex.setTimeout(5); // as follow-redirects does
  });
  for (const end = performance.now() + 20; performance.now() < end;); // all are due at once
  const hold = setInterval(() => {}, 1000); // its own timer keeps no process alive
  await over;
  clearInterval(hold);
  assertEquals(calls, ["caller", "duplex"]);
});

test("ConnDuplex.setTimeout refuses what is no time", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  const callback = (): void => {};
  for (const ms of [-1, NaN]) {
    assertThrows(() => duplex.setTimeout(ms, callback), RangeError, "must be a number from 0");
  }
  const text = "5" as unknown as number;
  assertThrows(() => duplex.setTimeout(text, callback), TypeError, "must be a number");
  assertEquals([duplex.timeout, duplex.listenerCount("timeout")], [0, 0]);
});

test("ConnDuplex leaves what its listeners throw uncaught, and goes on", limit, async () => {
  const shown = await runChild(new URL("./uncaught_child.ts", import.meta.url));
  const thrown = ["data a", "data b", "request", "written"];
  assertEquals(shown.split("\n").sort(), ["", ...thrown.map((text) => `uncaught: ${text}`)]);
});

/** Writes again while what it wrote is under way, and ends where it is told to go on. */
function writeTwice(message: OutgoingMessage): void {
  message.write(pattern(40_000));
  nextTick(() =>
    queueMicrotask(() => {
      if (message.write(pattern(40_000))) message.end();
      else message.once("drain", () => message.end());
    })
  );
}

test("ConnDuplex drains the messages of node:http, either end's", limit, async () => {
  using pair = await openPair();
  const server = createServer((_, outgoing) => writeTwice(outgoing));
  server.emit("connection", toDuplex(pair.far));
  const near = toDuplex(pair.near);
  const outgoing = request({ method: "POST", createConnection: () => near as Duplex as Socket });
  await once(outgoing, "socket");
  writeTwice(outgoing);
  const [incoming]: IncomingMessage[] = await once(outgoing, "response");
  assertEquals((await buffer(incoming!)).length, 80_000);
});

test("ConnDuplex has what node:http asks of a socket", limit, async () => {
  using pair = await openPair();
  const duplex = toDuplex(pair.near);
  assertEquals(duplex.setNoDelay().setKeepAlive(true, 1).ref().unref(), duplex);
  assertEquals([duplex.remoteAddress, duplex.remotePort], ["1", 4000]);
  assertEquals([duplex.connecting, duplex.readyState], [false, "open"]);
  assertEquals(duplex.address().family, "vsock");
  duplex.end("x");
  duplex.destroySoon();
  await once(duplex, "close");
  assertEquals(await readAll(pair.far, 2), Uint8Array.of(120));
});

test("toDuplex refuses a connection of messages", limit, async () => {
  using pair = await openPair("seqpacket");
  assertThrows(() => toDuplex(pair.near), TypeError, "must be of type stream");
});

test("toDuplex refuses what is no connection, such as the promise of one", () => {
  for (const given of [undefined, null, Promise.resolve(), { type: "stream" }]) {
    assertThrows(() => toDuplex(given as unknown as Conn), TypeError, "conn must be a Conn");
  }
});
