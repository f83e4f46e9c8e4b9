import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { SysError } from "../../../ffi/errno.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import { AutoSource } from "../../../src/receive/auto.ts";
import { Costs, costsOf, receiveCosts, type Way } from "../../../src/receive/costs.ts";
import type { Lender } from "../../../src/receive/lent_batch.ts";
import { LentBatch } from "../../../src/receive/lent_batch.ts";
import { openReceiver } from "../../../src/receive/receiver.ts";
import type { Source } from "../../../src/receive/source.ts";
import { UsrHeaders } from "../../../src/receive/usr_hdr.ts";
import { pattern } from "./fake.ts";

const PAGE = 4096;

/**
 * Wakes up `times` times with `bytes` bytes, which cost what `ns` says; the ways that were taken.
 */
function wakeUps(
  costs: Costs,
  times: number,
  bytes: number,
  ns: Readonly<Record<Way, number>>,
): Readonly<Record<Way, number>> {
  const taken = { copy: 0, map: 0 };
  for (let time = 0; time < times; time++) {
    const { way, measured } = costs.choose(bytes);
    taken[way] += 1;
    if (measured) costs.note(bytes, way, bytes, ns[way]);
  }
  return taken;
}

/** Costs whose ways have both been taken so often that they count. */
function warmCosts(ns: Readonly<Record<Way, number>> = { copy: 500, map: 1000 }): Costs {
  const costs = new Costs();
  assertEquals(wakeUps(costs, 4000, PAGE, ns), { copy: 2000, map: 2000 });
  assertEquals(Array.from(costs.report("cold")), []);
  wakeUps(costs, 300, PAGE, ns);
  return costs;
}

test("Costs.choose() takes each way in turn until its cost is one of compiled code", () => {
  warmCosts();
  const costs = new Costs();
  // Where each takes long, so many are not needed.
  const { copy, map } = wakeUps(costs, 1000, PAGE, { copy: 1e6, map: 2e6 });
  assert(copy > 900 && map < 60, `${copy}, ${map}`);
});

test("Costs.choose() settles on the cheaper way, and tries the other now and then", () => {
  for (
    const [dear, ns] of Object.entries({ map: { copy: 9, map: 99 }, copy: { copy: 9, map: 1 } })
  ) {
    const taken = wakeUps(warmCosts(ns), 100_000, PAGE, ns);
    const tries = taken[dear as Way];
    assert(tries > 500 && tries < 1000, `${dear}: ${tries}`);
  }
});

test("Costs.choose() follows a cost that changes", () => {
  const { map } = wakeUps(warmCosts(), 9000, PAGE, { copy: 2000, map: 1000 });
  assert(map > 4500, `${map}`);
});

test("Costs.choose() measures both ways alike, each after as many wake-ups of the same", () => {
  const costs = warmCosts();
  const measured = { copy: 0, map: 0 };
  let run = 0;
  let last: Way | undefined;
  for (let time = 0; time < 20_000; time++) {
    const choice = costs.choose(PAGE);
    run = choice.way === last ? run + 1 : 1;
    last = choice.way;
    if (!choice.measured) continue;
    assert(run > 24, `${choice.way}: after ${run}`);
    measured[choice.way] += 1;
    costs.note(PAGE, choice.way, PAGE, choice.way === "copy" ? 500 : 1000);
  }
  assert(measured.copy > 24, `${measured.copy}`);
  assertEquals(measured.map, measured.copy);
});

test("Costs.choose() stays with its way where the other is hardly cheaper", () => {
  const { copy } = wakeUps(warmCosts(), 50_000, PAGE, { copy: 1050, map: 1000 });
  assert(copy > 49_000, `${copy}`);
});

test("Costs.choose() is not led by measurements that were disturbed", () => {
  const costs = warmCosts();
  const taken = { copy: 0, map: 0 };
  for (let time = 0; time < 20_000; time++) {
    const { way, measured } = costs.choose(PAGE);
    taken[way] += 1;
    if (measured) costs.note(PAGE, way, PAGE, way === "map" ? 1000 : time % 3 === 0 ? 1e9 : 500);
  }
  assert(taken.copy > 19_000, `${taken.copy}`);
});

test("Costs.choose() settles soon where most who ask find nothing", () => {
  const costs = warmCosts({ copy: 1000, map: 500 });
  const size = 128 * PAGE;
  let found = 0;
  for (let time = 0; time < 4000; time++) {
    const { way, measured } = costs.choose(size);
    if (time % 21 !== 0) continue;
    found += 1;
    if (measured) costs.note(size, way, size, way === "map" ? 500 : 1000);
  }
  const ways = Array.from(costs.report("x"), ({ bytes, way }) => [bytes, way]);
  assertEquals(ways.at(-1), [size, "map"], `after ${found}`);
});

test("Costs.choose() decides for each size by itself", () => {
  const costs = warmCosts();
  wakeUps(costs, 1000, 128 * PAGE, { copy: 9000, map: 1000 });
  assertEquals(
    Array.from(costs.report("x"), ({ bytes, way }) => [bytes, way]),
    [[PAGE, "copy"], [128 * PAGE, "map"]],
  );
});

test("receiveCosts() tells what the receivers of each carrier have found out", () => {
  const costs = costsOf("a carrier");
  assertStrictEquals(costsOf("a carrier"), costs);
  wakeUps(costs, 5000, PAGE, { copy: 512, map: 1024 });
  const [cost, ...more] = receiveCosts().filter(({ carrier }) => carrier === "a carrier");
  assertEquals(more, []);
  assertEquals(cost, {
    ...{ carrier: "a carrier", bytes: PAGE, copyNsPerKib: 128, mapNsPerKib: 256, way: "copy" },
  });
});

/** Gives batches of `bytes` bytes for ever, and counts what happens to them. */
class FakeSource implements Source, Lender {
  readonly volatile = false;
  readonly spins = false;
  calls = 0;
  reclaims = 0;
  closed = 0;
  /** Whether it may still keep something for its next dequeue. */
  keeps = false;
  failure: unknown;
  readonly #headers: UsrHeaders = new UsrHeaders();

  constructor(readonlyMapped: boolean) {
    this.mapped = readonlyMapped;
  }
  readonly mapped: boolean;

  readable(): boolean {
    return true;
  }
  dequeue(): LentBatch {
    this.calls += 1;
    this.keeps = true;
    if (this.failure !== undefined) throw this.failure;
    this.#headers.setOne(PAGE, 0);
    return new LentBatch(this.#headers, this);
  }
  lend(_page: number, length: number): Uint8Array {
    return new Uint8Array(length);
  }
  reclaim(): void {
    this.reclaims += 1;
  }
  discardStale(): void {
    this.keeps = false;
  }
  close(): void {
    this.closed += 1;
  }
}

test("AutoSource.dequeue() gives each batch of either source back to that one", () => {
  const [copy, map] = [new FakeSource(false), new FakeSource(true)];
  const source = new AutoSource(copy, map, "test of giving back", PAGE);
  for (let time = 0; time < 1000; time++) {
    const batch = source.dequeue()!;
    for (const { data } of batch) assertEquals(data.length, PAGE);
    batch.release();
    assert(!(copy.keeps && map.keeps), "one rests while the other is in use");
  }
  assert(copy.calls > 0 && map.calls > 0); // how often is a matter of time
  assertEquals([copy.reclaims, map.reclaims], [copy.calls, map.calls]);
  source.close();
  assertEquals([copy.closed, map.closed], [1, 1]);
});

test("AutoSource.dequeue() keeps to an error: one way does not go on where the other failed", () => {
  const [copy, map] = [new FakeSource(false), new FakeSource(true)];
  map.failure = new VsockError("recv", "EPROTO");
  const source = new AutoSource(copy, map, "test of failing", PAGE);
  const dequeue = (): void => source.dequeue()?.release();
  assertThrows(() => {
    for (;;) dequeue();
  }, VsockError);
  const calls = copy.calls;
  assertThrows(dequeue, VsockError);
  assertEquals(copy.calls, calls);
});

test("AutoSource.dequeue() copies what cannot be mapped, and maps again once that works", () => {
  for (const code of ["ENOMEM", "EINVAL"] as const) {
    const [copy, map] = [new FakeSource(false), new FakeSource(true)];
    const source = new AutoSource(copy, map, `test of ${code}`, PAGE);
    map.failure = new SysError("getsockopt", code);
    for (let time = 0; time < 100; time++) source.dequeue()!.release();
    assert(map.calls > 0);
    assertEquals([copy.reclaims, map.reclaims], [100, 0]);
    map.failure = undefined;
    while (map.reclaims === 0) source.dequeue()!.release();
  }
});

test("AutoSource.dequeue() tells of memory that there was none of, and goes on", () => {
  const [copy, map] = [new FakeSource(false), new FakeSource(true)];
  const source = new AutoSource(copy, map, "test of memory", PAGE);
  copy.failure = map.failure = new RangeError("Array buffer allocation failed");
  assertThrows(() => source.dequeue(), RangeError);
  copy.failure = map.failure = undefined;
  for (let time = 0; time < 10; time++) source.dequeue()!.release();
});

test("Receiver (auto) gives every byte in order, whichever way it takes", async () => {
  const transport = createLoopback();
  const options = { zeroCopyReceive: true, bufferSize: 1 << 20 };
  const address = { cid: 1, port: 5100 };
  using listener = listen(address, { transport, options });
  using near = await connect(address, { transport, options });
  using far = await listener.accept();
  using receiver = openReceiver(near.socket, { pages: 24 });
  assertEquals(receiver.mapped, true);
  const ring = pattern(1 << 20);
  /** `length` bytes of the ring from `at` on, cut where it starts anew. */
  const bytesAt = (at: number, length: number): Uint8Array => {
    const start = at % ring.length;
    return ring.subarray(start, Math.min(start + length, ring.length));
  };
  const total = 100 * ring.length;
  const sending = (async () => {
    for (let at = 0, size = 1; at < total; size = (size + 7919) % 70_000) {
      at += await far.write(bytesAt(at, Math.min(size, total - at)));
    }
    await far.closeWrite();
  })();
  const ways = { mapped: 0, copied: 0 };
  let at = 0;
  for await (const batch of receiver) {
    ways[batch.mapped ? "mapped" : "copied"] += 1;
    for (const { data } of batch) {
      for (let seen = 0; seen < data.length;) {
        const expected = bytesAt(at, data.length - seen);
        const got = data.subarray(seen, seen + expected.length);
        if (Buffer.compare(got, expected) !== 0) throw new Error(`other bytes at ${at}`);
        seen += expected.length;
        at += expected.length;
      }
    }
  }
  await sending;
  assertEquals(at, total);
  assert(ways.mapped > 0 && ways.copied > 0, JSON.stringify(ways));
});
