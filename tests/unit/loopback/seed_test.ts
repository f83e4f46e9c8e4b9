import { createHash } from "node:crypto";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { type Conn, connect, listen } from "../../../mod.ts";
import {
  createLoopback,
  type LoopbackTransport,
  ManualClock,
  pcapTap,
} from "../../../src/loopback/mod.ts";

const LONG = { timeout: 120_000 };

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
async function slowReaders(seed: number, stallMs: number, bytes = 500): Promise<string> {
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
  const options = { connectTimeoutMs: 60_000 };
  const ask = async (): Promise<void> => {
    using conn = await connect(address, { transport, options });
    await conn.write(new Uint8Array(bytes));
    await conn.read(new Uint8Array(1));
  };
  const answer = async (accepted: Conn): Promise<void> => {
    using conn = accepted;
    const p = new Uint8Array(1);
    for (let i = 0; i < bytes; i++) await conn.read(p);
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

test("createLoopback() replays delays where turns take long", LONG, async () => {
  for (let seed = 1; seed <= 4; seed++) {
    assertEquals(await slowReaders(seed, 12, 20_000), await slowReaders(seed, 0, 20_000));
  }
});

/** The packets while ten clients have all that they send sent back, in batches. */
async function batches(): Promise<string> {
  const packets: string[] = [];
  const transport = createLoopback({
    seed: 5,
    faults: { shortReads: 0.5, creditLimit: 1_000 },
    tap: ({ op, srcPort, dstPort, len }) => packets.push(`${srcPort}>${dstPort} ${op} ${len}`),
  });
  const address = { cid: 1, port: 1024 };
  const options = { zeroCopyReceive: true };
  using listener = listen(address, { transport, options });
  const answer = async (conn: Conn): Promise<void> => {
    for await (const batch of conn.receiver()) {
      for (const { data } of batch) await conn.write(data);
    }
    await conn.closeWrite();
  };
  const ask = async (): Promise<void> => {
    using conn = await connect(address, { transport, options });
    for (let i = 0; i < 20; i++) await conn.write(new Uint8Array(100));
    await conn.closeWrite();
    for await (const _ of conn.receiver());
  };
  const all = Array.from({ length: 10 }, ask);
  for (let i = 0; i < 10; i++) all.push(answer(await listener.accept()));
  await Promise.all(all);
  return packets.join();
}

test("createLoopback() replays receivers, however long they take", LONG, async () => {
  const first = await batches();
  for (let i = 0; i < 8; i++) assertEquals(await batches(), first);
});

/** A connection over `transport`. */
async function pair(transport: LoopbackTransport, port: number): Promise<[Conn, Conn]> {
  using listener = listen({ cid: 1, port }, { transport });
  return [await connect({ cid: 1, port }, { transport }), await listener.accept()];
}

/** What a relay reads from one loopback goes out over the other. */
async function relay(
  inner: LoopbackTransport,
  outer: LoopbackTransport,
  id: number,
): Promise<void> {
  const port = 1_024 + id;
  const [[source, from], [to, sink]] = [await pair(inner, port), await pair(outer, port)];
  const send = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) await source.write(new Uint8Array(20_000));
    source.close();
  };
  const pass = async (): Promise<void> => {
    const p = new Uint8Array(7 + id);
    for (let n; (n = await from.read(p)) !== null;) await to.write(p.subarray(0, n));
    for (const conn of [from, to]) conn.close();
  };
  const drain = async (): Promise<void> => {
    const p = new Uint8Array(3 + 2 * id);
    while (await sink.read(p) !== null);
    sink.close();
  };
  await Promise.all([send(), pass(), drain()]);
}

/** The order of packets on two loopbacks that relays join. */
async function relayed(stallMs: number): Promise<string> {
  const hash = createHash("sha256");
  const loopback = (seed: number): LoopbackTransport =>
    createLoopback({
      seed,
      clock: new ManualClock(), // no close of theirs gives up, however long it takes
      tap: ({ op, srcPort, dstPort, len }) => {
        hash.update(`${seed} ${srcPort}>${dstPort} ${op} ${len};`);
        if (len > 1_000) stall(stallMs);
      },
    });
  const [inner, outer] = [loopback(1), loopback(2)];
  await Promise.all([0, 1].map((id) => relay(inner, outer, id)));
  return hash.digest("hex");
}

test("createLoopback() replays two of them that feed each other", LONG, async () => {
  assertEquals(await relayed(5), await relayed(0));
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
