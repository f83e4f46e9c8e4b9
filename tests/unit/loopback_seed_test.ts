import { createHash } from "node:crypto";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type Conn, connect, listen } from "../../mod.ts";
import { createLoopback, ManualClock, pcapTap } from "../../src/loopback/mod.ts";

const LONG = { timeout: 60_000 };

/** Ten clients talk at once; what went over the wire, and the order in which they were done. */
async function run(
  seed: number,
  delayMs = 0,
  stallMs = 0,
): Promise<{ wire: string; order: string }> {
  const pieces: Uint8Array[] = [];
  const clock = delayMs === 0 ? new ManualClock() : undefined;
  const transport = createLoopback({
    seed,
    delayMs,
    clock,
    faults: { shortReads: 0.3, shortWrites: 0.3, creditLimit: 1_000 },
    tap: pcapTap((piece) => {
      pieces.push(piece);
      stall(stallMs);
    }, { originMs: 0 }),
  });
  const address = { cid: 1, port: 1024 };
  const order: number[] = [];
  using listener = listen(address, { transport });
  const echo = async (accepted: Conn): Promise<void> => {
    using conn = accepted;
    const p = new Uint8Array(500);
    for (let n = await conn.read(p); n !== null; n = await conn.read(p)) {
      await conn.write(p.subarray(0, n));
    }
  };
  const ask = async (id: number): Promise<void> => {
    using conn = await connect(address, { transport });
    const wrote = conn.write(new Uint8Array(2_000).fill(id)).then(() => conn.closeWrite());
    let got = 0;
    const p = new Uint8Array(700);
    for (let n = await conn.read(p); n !== null; n = await conn.read(p)) {
      assert(p.subarray(0, n).every((byte) => byte === id));
      got += n;
    }
    await wrote;
    assertEquals(got, 2_000);
    order.push(id);
  };
  const asked = Promise.all(Array.from({ length: 10 }, (_, id) => ask(id)));
  for (let i = 0; i < 10; i++) echo(await listener.accept());
  await asked;
  const hash = createHash("sha256");
  // With the times of each, where those are the clock's.
  for (const piece of pieces) hash.update(delayMs === 0 ? piece : piece.subarray(8));
  return { wire: hash.digest("hex"), order: order.join() };
}

/** As long as a slower machine takes for a packet. */
function stall(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

test("createLoopback() with the same seed replays the same run, byte for byte", LONG, async () => {
  const [first, second] = [await run(42), await run(42)];
  assertEquals(second, first);
});

test("createLoopback() with another seed takes another order", LONG, async () => {
  const orders = new Set<string>();
  for (let seed = 1; seed <= 8; seed++) orders.add((await run(seed)).order);
  assert(orders.size > 4, `${orders.size} orders of 8 seeds`);
});

test("createLoopback() with the same seed replays delays too, in real time", LONG, async () => {
  const [first, second] = [await run(42, 3), await run(42, 3)];
  assertEquals(second, first);
  assert((await run(43, 3)).wire !== first.wire);
});

test("createLoopback() replays delays on a slower machine too", LONG, async () => {
  for (const seed of [1, 2, 3]) assertEquals(await run(seed, 1, 1), await run(seed, 1));
});

/** The order of packets where each is read byte by byte, which takes more than one turn. */
async function slowReaders(seed: number, stallMs: number, length = 500): Promise<string> {
  const packets: string[] = [];
  const transport = createLoopback({
    seed,
    delayMs: 10,
    tap: ({ op, srcPort, dstPort, len }) => {
      packets.push(`${srcPort}>${dstPort} ${op} ${len}`);
      if (len > 1) stall(stallMs);
    },
  });
  const address = { cid: 1, port: 1024 };
  using listener = listen(address, { transport });
  const ask = async (): Promise<void> => {
    using conn = await connect(address, { transport });
    await conn.write(new Uint8Array(length));
    await conn.read(new Uint8Array(1));
  };
  const answer = async (accepted: Conn): Promise<void> => {
    using conn = accepted;
    const p = new Uint8Array(1);
    for (let i = 0; i < length; i++) await conn.read(p);
    await conn.write(p);
    await conn.read(p);
  };
  const asked = [ask(), ask(), ask()];
  const answered: Promise<void>[] = [];
  for (const _ of asked) answered.push(answer(await listener.accept()));
  await Promise.all([...asked, ...answered]);
  return packets.join();
}

test("createLoopback() replays delays where reading a packet takes many turns", LONG, async () => {
  for (let seed = 1; seed <= 8; seed++) {
    assertEquals(await slowReaders(seed, 12), await slowReaders(seed, 0));
  }
});

test("createLoopback() replays delays where a turn takes a timer", LONG, async () => {
  const first = await slowReaders(1, 0, 65_536);
  for (let i = 0; i < 4; i++) assertEquals(await slowReaders(1, 0, 65_536), first);
});

test("createLoopback() delivers while a reader asks again and again", LONG, async () => {
  const transport = createLoopback({ seed: 1, delayMs: 1 });
  using listener = listen({ cid: 1, port: 1024 }, { transport });
  using near = await connect({ cid: 1, port: 1024 }, { transport });
  using far = await listener.accept();
  const p = new Uint8Array(2);
  await near.write(p.subarray(1));
  await far.read(p, { peek: true });
  await near.write(p.subarray(1));
  while (await far.read(p, { peek: true }) === 1);
});
