/** Calls that never have to wait leave turns of the event loop to the rest of the program. */
import { type AddressInfo, createConnection, createServer, type Server } from "node:net";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Address } from "../../../src/address.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import { Turns } from "../../../src/wait/turns.ts";
import { openPair } from "../../helpers/pair.ts";
import { RUNTIME } from "../../helpers/runtime.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

/** More calls than go on before any timer is late. */
const CALLS = 500_000;

const LONG = { timeout: 60_000 };

/** Whether a timer comes while `call` is called over and over. */
async function leavesTurns(call: () => Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  setTimeout(() => over.abort(), 20);
  for (let i = 0; i < CALLS && !over.signal.aborted; i++) await call();
  return over.signal.aborted;
}

/** One end writes for as long as `leavesTurns` goes on, the other one reads. */
async function streamsLeaveTurns(near: Conn<Address>, far: Conn<Address>): Promise<boolean> {
  const data = new Uint8Array(64);
  await near.write(data); // so that no read has to wait
  const reading = (async (): Promise<void> => {
    const buffer = new Uint8Array(64);
    while (await far.read(buffer) !== null);
  })();
  const left = await leavesTurns(() => near.write(data));
  await near.closeWrite();
  await reading;
  return left;
}

test("a stream on the loopback lets timers run", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  assert(await streamsLeaveTurns(pair.near, pair.far));
});

/** A byte goes to and fro between two sockets of the runtime; aborts `over` after 100 times. */
function startPingPong(over: AbortController): Server {
  const echo = createServer((socket) => void socket.pipe(socket));
  return echo.listen(0, "127.0.0.1", () => {
    const { port } = echo.address() as AddressInfo;
    const socket = createConnection(port, "127.0.0.1");
    let left = 100;
    socket.on("data", () => {
      if (--left > 0) return void socket.write("x");
      socket.destroy();
      over.abort();
    });
    socket.write("x");
  });
}

test("a stream on the loopback lets sockets of the runtime go on", LONG, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const p = new Uint8Array(64);
  const over = new AbortController();
  const echo = startPingPong(over);
  for (let i = 0; i < 10 * CALLS && !over.signal.aborted; i++) {
    await near.write(p);
    await far.read(p);
  }
  assert(over.signal.aborted);
  echo.close();
});

test("Turns has Deno look at its sockets and files, asleep", {
  ...LONG,
  skip: RUNTIME === "deno" ? false : "others look in each turn; run it on Deno",
}, async (t) => {
  const { promise: asleep, resolve: wake } = Promise.withResolvers<ArrayBuffer>();
  const digest = t.mock.method(crypto.subtle, "digest", () => asleep);
  const turns = new Turns();
  let turned = 0;
  const turning = (async (): Promise<void> => {
    while (digest.mock.callCount() < 2 && turned < CALLS) {
      await turns.next();
      turned++;
    }
  })();
  while (digest.mock.callCount() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const before = turned;
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(turned, before);
  wake(new ArrayBuffer(0));
  await turning;
  assertEquals(digest.mock.callCount(), 2);
  digest.mock.restore();
});

test("messages on the loopback let timers run", { timeout: 60_000 }, async () => {
  using pair = await openPair("seqpacket");
  const { near, far } = pair;
  const turn = async (): Promise<void> => {
    await near.sendMessage(new Uint8Array(8));
    assertEquals((await far.receiveMessage())?.length, 8);
  };
  assert(await leavesTurns(turn));
});

test("batches on the loopback let timers run", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  using receiver = far.receiver();
  const turn = async (): Promise<void> => {
    await near.write(new Uint8Array(64));
    using batch = await receiver.receive();
    assertEquals(batch?.byteLength, 64);
  };
  assert(await leavesTurns(turn));
});

test("peeking on the loopback lets timers run", { timeout: 60_000 }, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  await near.write(new Uint8Array(1));
  assert(await leavesTurns(() => far.read(new Uint8Array(1), { peek: true })));
});

test("connections on the loopback let timers run", { timeout: 60_000 }, async () => {
  const transport = createLoopback();
  using listener = listen({ cid: 1, port: 4000 }, { transport });
  const turn = async (): Promise<void> => {
    using _near = await connect({ cid: 1, port: 4000 }, { transport });
    using _far = await listener.accept();
  };
  assert(await leavesTurns(turn));
});

test("a stream over TCP lets timers run", { timeout: 60_000 }, async () => {
  using pair = await openTcpPair();
  assert(await streamsLeaveTurns(pair.near, pair.far));
});

test("a stream over AF_UNIX lets timers run", { timeout: 60_000 }, async () => {
  using folder = new TempFolder();
  using listener = listen({ path: folder.path("s") });
  using near = await connect({ path: folder.path("s") });
  using far = await listener.accept();
  assert(await streamsLeaveTurns(near, far));
});

test("a read that was held back for a turn gives its bytes all the same", {
  timeout: 60_000,
}, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  while (!far.socket.turns.spent());
  await near.write(Uint8Array.of(7));
  while (!far.socket.turns.spent());
  const buffer = new Uint8Array(1);
  const reading = far.read(buffer);
  far.close();
  assertEquals([await reading, buffer[0]], [1, 7]);
});

test("a batch that was held back for a turn is none when the receiver was closed", {
  timeout: 60_000,
}, async () => {
  using pair = await openPair();
  const { near, far } = pair;
  const receiver = far.receiver();
  await near.write(Uint8Array.of(7));
  while (!far.socket.turns.spent());
  const receiving = receiver.receive();
  receiver.close();
  assertEquals((await assertRejects(() => receiving, VsockError)).code, "EBADF");
});

test("all who are held back wait for the same turn, and then none is", async () => {
  const turns = new Turns();
  while (!turns.spent());
  const [one, two] = [turns.next(), turns.next()];
  assert(one === two);
  await one;
  assertEquals(turns.spent(), false);
});

test("sockets of a carrier share turns, two loopbacks do not", async () => {
  using one = await openPair();
  using two = await openPair();
  assert(one.near.socket.turns === one.far.socket.turns);
  assert(one.near.socket.turns !== two.near.socket.turns);
});
