/** A driver that breaks the rules of virtio 1.2, one by one; and what is no breach. */
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { VirtqueueError } from "../../../src/virtio/chain.ts";
import { type RingMemory, SplitRing } from "../../../src/virtio/split_ring.ts";
import type { Virtqueue } from "../../../src/virtio/virtqueue.ts";
import { view, writeDesc } from "./virtqueue_driver.ts";
import { type Pair, pair } from "./virtqueue_pair.ts";

const SIZE = 4;
const [NEXT, WRITE, INDIRECT] = [1, 2, 4];

/** Any number of descriptors that lie anywhere: `[addr, len, flags, next]`. */
type Rows = readonly (readonly [number | bigint, number, number, number])[];

/** Puts `head` into the ring, and its descriptors into the table. */
function offer({ driver, avail, options }: Pair, head: number, rows: Rows): void {
  driver.add([{ address: 0, length: 1, writable: true }]);
  avail[2] = head;
  rows.forEach((row, index) => writeDesc(view(options.desc), index, ...row));
}

/** Likewise, with `rows` in an indirect table of `length` bytes. */
function offerTable(hostile: Pair, rows: Rows, length = rows.length * 16): void {
  rows.forEach((row, index) => writeDesc(view(hostile.tables.bytes), index, ...row));
  offer(hostile, 0, [[hostile.tables.address, length, INDIRECT, 0]]);
}

/** What breaks the virtqueue, and what its error says of it. */
const BREACHES: readonly (readonly [string, (hostile: Pair) => void, string])[] = [
  ["idx that is ahead by more than the size", ({ avail }) => avail[1] = SIZE + 1, "idx must be"],
  ["idx that goes back", ({ avail }) => avail[1] = 65_535, "at most 4 from 0: current value is"],
  ["a head at the size", (to) => offer(to, SIZE, []), "a head must be below 4"],
  ["a head of 65535", (to) => offer(to, 65_535, []), "a head must be below 4"],
  ["a chain that loops", (to) => offer(to, 0, [[0, 1, NEXT, 1], [0, 1, NEXT, 0]]), "at most 4"],
  ["a descriptor that is its own next", (to) => offer(to, 0, [[0, 1, NEXT, 0]]), "at most 4"],
  ["a loop of length 0", (to) => offer(to, 0, [[0, 0, NEXT, 0]]), "at most 4"],
  ["next at the size", (to) => offer(to, 0, [[0, 1, NEXT, SIZE]]), "next must be below 4"],
  ["an address past 2^53", (to) => offer(to, 0, [[2n ** 53n, 1, 0, 0]]), "below 2^53"],
  ["an address of 2^64 - 1", (to) => offer(to, 0, [[2n ** 64n - 1n, 1, 0, 0]]), "below 2^53"],
  ["a sum past 2^53", (to) => offer(to, 0, [[2n ** 53n - 8n, 8, 0, 0]]), "below 2^53"],
  [
    "a readable buffer behind a writable one",
    (to) => offer(to, 0, [[0, 1, WRITE | NEXT, 1], [0, 1, 0, 0]]),
    "before the writable ones",
  ],
  [
    "more than 2^32 bytes",
    (to) => offer(to, 0, [[0, 0xffff_ffff, NEXT, 1], [0, 2, 0, 0]]),
    "at most 2^32",
  ],
  ["an empty table", (to) => offerTable(to, []), "16 for each"],
  ["a table of half a descriptor", (to) => offerTable(to, [[0, 1, 0, 0]], 24), "16 for each"],
  ["a table longer than the size", (to) => offerTable(to, [[0, 1, 0, 0]], 80), "16 for each"],
  ["a table outside memory", (to) => offer(to, 0, [[4096, 16, INDIRECT, 0]]), "within guest"],
  [
    "a table that ends outside memory",
    ({ tables, ...to }) =>
      offer({ tables, ...to }, 0, [[tables.address + 16 * 16 - 16, 32, INDIRECT, 0]]),
    "within guest memory",
  ],
  ["a table in a table", (to) => offerTable(to, [[0, 16, INDIRECT, 0]]), "must be direct"],
  ["next past the end of a table", (to) => offerTable(to, [[0, 1, NEXT, 1]]), "below 1"],
  [
    "a loop in a table",
    (to) => offerTable(to, [[0, 1, NEXT, 1], [0, 1, NEXT, 0]]),
    "at most 4",
  ],
  [
    "a table and a next",
    (to) => offer(to, 0, [[to.tables.address, 16, INDIRECT | NEXT, 1], [0, 1, 0, 0]]),
    "must be last",
  ],
  [
    "direct descriptors and a table of more than the size together",
    (to) => {
      offerTable(to, [[0, 1, NEXT, 1], [0, 1, NEXT, 2], [0, 1, NEXT, 3], [0, 1, 0, 0]]);
      offer(to, 0, [[0, 1, NEXT, 1], [to.tables.address, 64, INDIRECT, 0]]);
    },
    "at most 4",
  ],
];

/** The error of `call`, which breaks `queue` for good. */
function broken(queue: Virtqueue, text: string): void {
  const error = assertThrows(() => queue.pop(), VirtqueueError, text);
  assert(queue.broken === error, "it is forgotten");
  for (const call of [() => queue.pop(), () => queue.available()]) {
    assert(assertThrows(call, VirtqueueError) === error, "it is another one");
  }
  assert(assertThrows(() => queue.enableKicks(), VirtqueueError) === error, "it is another one");
  assertEquals([queue.lastAvail, queue.inFlight, queue.publish()], [0, 0, false]);
}

for (const [what, act, text] of BREACHES) {
  test(`Virtqueue.pop() is broken for good by ${what}`, () => {
    const hostile = pair({ size: SIZE });
    act(hostile);
    broken(hostile.queue, text);
  });
}

test("Virtqueue.pop() is broken for good by a table where none was agreed on", () => {
  const hostile = pair({ size: SIZE, indirect: false });
  offerTable(hostile, [[0, 1, 0, 0]]);
  broken(hostile.queue, "direct, by the features");
  assertEquals(hostile.asked, []);
});

test("Virtqueue.pop() is broken by a head that is in flight, or not published yet", () => {
  for (const staged of [false, true]) {
    const { driver, queue, avail } = pair({ size: SIZE });
    const head = driver.add([{ address: 0, length: 1, writable: true }])!;
    queue.pop();
    if (staged) queue.push(head, 1);
    avail[3] = head;
    avail[1] = 2;
    assertThrows(() => queue.pop(), VirtqueueError, "none that is in flight");
    // What was popped before can still be given back.
    if (!staged) queue.push(head, 1);
    assertEquals(queue.publish(), true);
    assertEquals(driver.getUsed(), { head, length: 1 });
  }
});

test("Virtqueue.pop() gives what was made available before the breach", () => {
  const { driver, queue, avail } = pair({ size: SIZE });
  const head = driver.add([{ address: 0, length: 1, writable: true }])!;
  assertEquals(queue.available(), 1);
  avail[1] = 9;
  assertEquals(queue.pop()?.head, head);
  assertThrows(() => queue.pop(), VirtqueueError, "idx must be");
});

test("Virtqueue.pop() gives nothing after the breach, not what was seen before", () => {
  const { driver, queue, avail } = pair({ size: SIZE });
  driver.add([{ address: 0, length: 1, writable: true }]);
  assertEquals(queue.available(), 1);
  avail[1] = 9;
  const error = assertThrows(() => queue.available(), VirtqueueError, "idx must be");
  assert(assertThrows(() => queue.pop(), VirtqueueError) === error, "it is another one");
});

test("Virtqueue.pop() takes what looks like a breach and is none", () => {
  const fine: readonly ((to: Pair) => void)[] = [
    (to) => offer(to, 0, [[2n ** 53n - 9n, 8, 0, 0]]),
    (to) => offer(to, 0, [[0, 0xffff_ffff, NEXT, 1], [0, 1, WRITE, 0]]),
    (to) => offer(to, 3, [[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 9], [0, 1, 0xfff8, 77]]),
    (to) => offer(to, 0, [[5, 5, NEXT, 1], [5, 5, NEXT, 2], [5, 5, NEXT, 3], [5, 5, 0, 0]]),
    (to) => offer(to, 0, [[0, 0, NEXT | WRITE, 1], [0, 1, 0, 0]]),
    (to) => offerTable(to, [[0, 1, NEXT, 3], [0, 1, 9, 9], [0, 1, 9, 9], [0, 1, 0, 0]]),
    (to) => offerTable(to, [[0, 1, NEXT | WRITE, 1], [0, 1, WRITE, 0]]),
  ];
  for (const act of fine) {
    const odd = pair({ size: SIZE });
    act(odd);
    const { head, readable, writable } = odd.queue.pop()!;
    assertGreater(readable + writable, 0);
    odd.queue.push(head, Math.min(writable, 0xffff_ffff));
  }
});

/** Its words are ruined by the driver as soon as they have been loaded once. */
class FleetingRing extends SplitRing {
  /** How often the heads and each word of the table were loaded. */
  readonly loads: number[] = [];
  #heads = 0;

  constructor(memory: RingMemory) {
    super(memory);
    const get = (words: Uint32Array, key: string): number => {
      const [at, word] = [Number(key), words[Number(key)]!];
      this.loads[at] = (this.loads[at] ?? 0) + 1;
      words[at] = 0xffff_ffff;
      return word;
    };
    Object.defineProperty(this, "desc", { value: new Proxy(this.desc, { get }) });
  }

  get heads(): number {
    return this.#heads;
  }

  override head(index: number): number {
    this.#heads++;
    return super.head(index);
  }
}

test("Virtqueue.pop() loads each word of the driver once, and trusts its copy", () => {
  let ring: FleetingRing | undefined;
  const { driver, queue, asked, tables } = pair({
    size: SIZE,
    ring: (memory) => ring = new FleetingRing(memory),
  });
  const segments = [
    { address: 2 ** 40 + 5, length: 44, writable: false },
    { address: 77, length: 4096, writable: true },
  ];
  const heads = [driver.add(segments), driver.add(segments, true)];
  const chains = [queue.pop(), queue.pop()];
  assertEquals(chains.map((chain) => chain?.head), heads);
  for (const chain of chains) assertEquals(chain?.segments, segments);
  assertEquals(ring?.heads, 2);
  assertEquals(ring?.loads, Array<number>(12).fill(1));
  assertEquals(asked, [[tables.address + heads[1]! * SIZE * 16, 32]]);
});

test("Virtqueue.pop() takes chains of up to 1024 descriptors, and tells how many", () => {
  const size = 2_048;
  const rows = (count: number): Rows =>
    Array.from({ length: count }, (_, i) => [0, 0, i === count - 1 ? 0 : NEXT, i + 1]);
  for (const make of [offer, (to: Pair, _: number, rows: Rows) => offerTable(to, rows)]) {
    const longest = pair({ size });
    make(longest, 0, rows(1_024));
    assertEquals(longest.queue.pop()?.descriptors, 1_024);
    const longer = pair({ size });
    make(longer, 0, rows(1_025));
    assertThrows(() => longer.queue.pop(), VirtqueueError, "1024");
  }
});

test("Virtqueue does not survive its memory: it is a TypeError, or broken", () => {
  const { driver, queue, options } = pair({ size: SIZE });
  driver.add([{ address: 0, length: 1, writable: true }]);
  assertEquals(queue.available(), 1);
  (options.desc.buffer as ArrayBuffer).transfer(0);
  assertThrows(() => queue.pop(), VirtqueueError, "a head must be below 4");
  const other = pair({ size: SIZE });
  (other.options.desc.buffer as ArrayBuffer).transfer(0);
  assertThrows(() => other.queue.pop(), TypeError);
});
