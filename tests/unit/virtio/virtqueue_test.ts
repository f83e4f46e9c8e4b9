import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_USED_F_NO_NOTIFY,
} from "../../../ffi/abi/virtio_ring.ts";
import type { Chain, Segment } from "../../../src/virtio/chain.ts";
import { ringBytes } from "../../../src/virtio/split_ring.ts";
import { Virtqueue } from "../../../src/virtio/virtqueue.ts";
import { type Driver, type Used, view } from "./virtqueue_driver.ts";
import { type Pair, pair, type PairOptions } from "./virtqueue_pair.ts";

const MODES: readonly boolean[] = [false, true];

function readable(address: number, length: number): Segment {
  return { address, length, writable: false };
}

function writable(address: number, length: number): Segment {
  return { address, length, writable: true };
}

/** All that can be popped. */
function popAll(queue: Virtqueue): Chain[] {
  const chains: Chain[] = [];
  for (let chain; (chain = queue.pop()) !== undefined;) chains.push(chain);
  return chains;
}

/** All that the driver gets back. */
function usedAll(driver: Driver): Used[] {
  const used: Used[] = [];
  for (let one; (one = driver.getUsed()) !== undefined;) used.push(one);
  return used;
}

test("ringBytes() is what virtio 1.2 has in 2.7", () => {
  assertEquals(ringBytes(1), { desc: 16, avail: 8, used: 14 });
  assertEquals(ringBytes(128), { desc: 2048, avail: 262, used: 1030 });
  assertEquals(ringBytes(32768), { desc: 524288, avail: 65542, used: 262150 });
});

test("Virtqueue.pop() gives chains as they were added, and undefined when there is none", () => {
  const { driver, queue } = pair({ size: 8 });
  assertEquals([queue.pop(), queue.available()], [undefined, 0]);
  const first = driver.add([readable(0x1000, 44), readable(2 ** 52, 0x8000), writable(0x30, 7)]);
  const second = driver.add([writable(0xffff_ffff, 1)]);
  assertEquals([queue.available(), queue.inFlight], [2, 0]);
  const chains = popAll(queue);
  assertEquals(chains.map(({ head }) => head), [first, second]);
  assertEquals(chains[0]!.segments, [
    readable(0x1000, 44),
    readable(2 ** 52, 0x8000),
    writable(0x30, 7),
  ]);
  assertEquals([chains[0]!.readable, chains[0]!.writable], [0x802c, 7]);
  assertEquals([chains[1]!.readable, chains[1]!.writable], [0, 1]);
  assertEquals([queue.available(), queue.inFlight, queue.lastAvail], [0, 2, 2]);
});

test("Virtqueue.unpop() makes the last chains available again, past the wrap of the index", () => {
  const { driver, queue } = pair({ size: 8, base: 0xffff });
  for (let i = 0; i < 4; i++) driver.add([readable(i, 1)]);
  const chains = popAll(queue);
  queue.push(chains[1]!.head, 0);
  queue.unpop([chains[3]!, chains[2]!]);
  assertEquals([queue.available(), queue.inFlight, queue.lastAvail], [2, 2, 1]);
  assertEquals(popAll(queue), chains.slice(2));
  for (const i of [3, 0, 2]) queue.push(chains[i]!.head, 0);
  queue.publish();
  assertEquals(usedAll(driver).map(({ head }) => head), [1, 3, 0, 2].map((i) => chains[i]!.head));
});

test("Virtqueue.pop() reads indirect tables, alone and behind direct descriptors", () => {
  const { driver, queue, tables, descAt } = pair({ size: 4 });
  const segments = [readable(16, 44), readable(4096, 100), writable(9000, 12), writable(1, 3)];
  const alone = driver.add(segments, true)!;
  assertEquals(driver.free, 3);
  const chain = queue.pop()!;
  assertEquals([chain.head, chain.readable, chain.writable], [alone, 144, 15]);
  assertEquals(chain.segments, segments);
  // 2.7.5.3.2: normal descriptors and one indirect one at their end; WRITE of it is ignored.
  const head = driver.add([readable(7, 1), readable(tables.address, 32)])!;
  view(tables.bytes).setUint16(16 + 12, 0, true); // the second of the table is its last
  descAt(head + 1).setUint16(12, 2 | 4, true);
  const mixed = queue.pop()!;
  assertEquals(mixed.segments, [readable(7, 1), ...segments.slice(0, 2)]);
});

test("Virtqueue.pop() has copied the indirect table: the driver can write what it likes", () => {
  const { driver, queue, tables } = pair({ size: 4 });
  driver.add([readable(16, 44), writable(4096, 100)], true);
  const chain = queue.pop()!;
  tables.bytes.fill(0xff);
  assertEquals(chain.segments, [readable(16, 44), writable(4096, 100)]);
  driver.add([writable(1, 2)], true);
  assertEquals(queue.pop()!.segments, [writable(1, 2)]);
  assertEquals(chain.segments, [readable(16, 44), writable(4096, 100)]);
});

test("Virtqueue.pop() leaves buffers of length 0 out, as vhost does", () => {
  const { driver, queue } = pair({ size: 8 });
  driver.add([writable(0, 0), readable(5, 6), readable(0, 0), writable(7, 8)]);
  driver.add([readable(0, 0)]);
  const [chain, empty] = popAll(queue);
  assertEquals(chain!.segments, [readable(5, 6), writable(7, 8)]);
  assertEquals([empty!.segments, empty!.readable, empty!.writable], [[], 0, 0]);
});

test("Virtqueue.push() shows nothing before publish(), which shows all, in the order pushed", () => {
  const { driver, queue } = pair({ size: 8 });
  const heads = [1, 2, 3].map((length) => driver.add([writable(0, length)])!);
  const chains = popAll(queue);
  queue.push(chains[2]!.head, 3);
  queue.push(chains[0]!.head, 0);
  assertEquals([driver.hasUsed(), queue.inFlight], [false, 3]);
  queue.publish();
  assertEquals(queue.inFlight, 1);
  assertEquals(usedAll(driver), [{ head: heads[2]!, length: 3 }, { head: heads[0]!, length: 0 }]);
  queue.push(chains[1]!.head, 2);
  queue.publish();
  assertEquals(usedAll(driver), [{ head: heads[1]!, length: 2 }]);
  assertEquals([driver.outstanding, queue.inFlight], [0, 0]);
});

test("Virtqueue.push() holds a chain while others come and go", () => {
  const { driver, queue } = pair({ size: 4 });
  const held = driver.add([writable(100, 50)])!;
  const chain = queue.pop()!;
  for (let turn = 0; turn < 20; turn++) {
    driver.add([writable(turn, 1)]);
    queue.push(queue.pop()!.head, 1);
    queue.publish();
    assertEquals(usedAll(driver).length, 1);
  }
  assertEquals([queue.inFlight, chain.head, chain.segments], [1, held, [writable(100, 50)]]);
  queue.push(held, 50);
  queue.publish();
  assertEquals(usedAll(driver), [{ head: held, length: 50 }]);
});

test("Virtqueue.push() refuses what was not popped, and more than there is room for", () => {
  const { driver, queue } = pair({ size: 4 });
  const head = driver.add([readable(0, 9), writable(0, 10)])!;
  const wrong = [head, head + 1, 4, -1, 0.5, Number.NaN];
  for (const one of wrong) assertThrows(() => queue.push(one, 0), TypeError, "popped");
  queue.pop();
  for (const written of [11, -1, 0.5, Number.NaN]) {
    assertThrows(() => queue.push(head, written), RangeError, "at most 10");
  }
  queue.push(head, 10);
  assertThrows(() => queue.push(head, 10), TypeError, "popped");
  queue.publish();
  assertThrows(() => queue.push(head, 10), TypeError, "popped");
  assertEquals(usedAll(driver), [{ head, length: 10 }]);
});

for (const eventIdx of MODES) {
  const mode = eventIdx ? "by index" : "by flags";

  test(`Virtqueue goes on past the wrap of the indices at 2^16 ${mode}`, () => {
    for (const size of [1, 2, 4, 8]) {
      const { driver, queue } = pair({ size, eventIdx, base: 65_530 });
      for (let turn = 0; turn < 40; turn++) {
        const count = 1 + turn % size;
        const heads = Array.from({ length: count }, () => driver.add([writable(turn, 1)]));
        assertEquals(queue.available(), count);
        for (const chain of popAll(queue).reverse()) queue.push(chain.head, 1);
        queue.publish();
        assertEquals(usedAll(driver).map(({ head }) => head), heads.reverse());
      }
      assertEquals(queue.inFlight, 0);
    }
  });

  test(`Virtqueue goes on at the base where another has stopped ${mode}`, () => {
    const first = pair({ size: 4, eventIdx, base: 65_534 });
    for (let turn = 0; turn < 3; turn++) first.driver.add([writable(turn, 1)]);
    for (let turn = 0; turn < 2; turn++) first.queue.push(first.queue.pop()!.head, 1);
    first.queue.available();
    first.queue.publish();
    const base = first.queue.lastAvail;
    assertEquals(base, 0);
    const queue = first.reopen(base);
    assertEquals([queue.available(), queue.lastAvail], [1, 0]);
    queue.push(queue.pop()!.head, 0);
    assertEquals(queue.publish(), true);
    assertEquals(usedAll(first.driver).map(({ length }) => length), [1, 1, 0]);
  });
}

/** `event`, `old`, `new`: whether to call. 2.7.7.2, and the edges of the wrap. */
const EVENTS: readonly (readonly [number, number, number, boolean])[] = [
  [0, 0, 1, true], // the driver waits for the one at 0
  [1, 0, 1, false], // for the one at 1, which is the next
  [0, 1, 2, false], // for one long past
  [2, 1, 4, true], // for one of several
  [3, 1, 4, true],
  [4, 1, 4, false],
  [65_535, 65_535, 0, true],
  [65_534, 65_535, 0, false],
  [0, 65_535, 0, false],
  [0, 65_534, 1, true],
  [1, 65_534, 1, false],
];

test("Virtqueue.publish() calls iff used_event is passed, with VIRTIO_RING_F_EVENT_IDX", () => {
  for (const [event, old, next, call] of EVENTS) {
    const { driver, queue, avail } = pair({ size: 4, base: (old - 1) & 0xffff });
    const turn = (count: number): boolean => {
      for (let left = count; left > 0; left--) driver.add([writable(0, 1)]);
      for (const { head } of popAll(queue)) queue.push(head, 1);
      const called = queue.publish();
      usedAll(driver);
      return called;
    };
    turn(1);
    avail[2 + 4] = event;
    avail[0] = VRING_AVAIL_F_NO_INTERRUPT; // to be ignored
    assertEquals(turn((next - old) & 0xffff), call, `${event} ${old} ${next}`);
  }
});

test("Virtqueue.publish() calls the first time, whatever used_event says, as vhost does", () => {
  const { driver, queue, avail } = pair({ size: 4 });
  avail[2 + 4] = 1000;
  assertEquals(queue.publish(), false); // nothing was pushed
  for (const call of [true, false]) {
    driver.add([writable(0, 1)]);
    queue.push(queue.pop()!.head, 1);
    assertEquals(queue.publish(), call);
  }
});

test("Virtqueue.publish() calls unless the driver asks for none, without the feature", () => {
  const { driver, queue, avail } = pair({ size: 4, eventIdx: false });
  for (const flags of [0, VRING_AVAIL_F_NO_INTERRUPT, 0xfffe, 0xffff]) {
    driver.add([writable(0, 1)]);
    queue.push(queue.pop()!.head, 1);
    avail[0] = flags;
    avail[2 + 4] = 1000; // to be ignored
    assertEquals(queue.publish(), (flags & 1) === 0);
  }
});

test("Virtqueue.enableKicks() asks by used.flags, without VIRTIO_RING_F_EVENT_IDX", () => {
  const { driver, queue, used } = pair({ size: 4, eventIdx: false });
  const added = (): boolean => {
    driver.add([writable(0, 1)]);
    return driver.kickNeeded();
  };
  assertEquals(added(), true); // kicks are on at first
  queue.disableKicks();
  assertEquals([used[0], added()], [VRING_USED_F_NO_NOTIFY, false]);
  assertEquals(queue.enableKicks(), true); // two have come
  popAll(queue);
  assertEquals(queue.enableKicks(), false);
  assertEquals([used[0], added(), added()], [0, true, true]);
});

test("Virtqueue has kicks on at first, whatever the device before it asked for", () => {
  const { driver, queue, used, reopen } = pair({ size: 4, eventIdx: false });
  queue.disableKicks();
  reopen(0);
  driver.add([writable(0, 1)]);
  assertEquals([used[0], driver.kickNeeded()], [0, true]);
});

test("Virtqueue.enableKicks() asks by avail_event, with VIRTIO_RING_F_EVENT_IDX", () => {
  const { driver, queue, used } = pair({ size: 8, base: 65_535 });
  const added = (): boolean => {
    driver.add([writable(0, 1)]);
    return driver.kickNeeded();
  };
  assertEquals(queue.enableKicks(), false);
  queue.disableKicks();
  assertEquals([used[0], used[2 + 4 * 8]], [0, 65_535]);
  assertEquals([added(), added()], [true, false]); // one kick for the first, none for more
  assertEquals(queue.enableKicks(), true);
  popAll(queue);
  assertEquals([added(), queue.enableKicks()], [false, true]);
  popAll(queue);
  assertEquals(queue.enableKicks(), false);
  assertEquals([used[0], added()], [0, true]);
});

test("Virtqueue refuses sizes, lengths, alignments and bases that virtio does not have", () => {
  const refused = (wrong: Partial<PairOptions>, text: string): void => {
    assertThrows(() => pair({ size: 4, ...wrong }), RangeError, text);
  };
  for (const base of [-1, 65_536, 0.5]) refused({ base }, "base must be unsigned 16-bit");
  const { options }: Pair = pair({ size: 4 });
  for (const size of [0, 3, 65_536, -4, 2.5, Number.NaN]) {
    assertThrows(() => new Virtqueue({ ...options, size }), RangeError, "power of 2");
  }
  for (const part of ["desc", "avail", "used"] as const) {
    const short = options[part].subarray(0, options[part].length - 1);
    assertThrows(() => new Virtqueue({ ...options, [part]: short }), RangeError, `${part} must`);
    const odd = new Uint8Array(new ArrayBuffer(4096), 1, 2048);
    assertThrows(() => new Virtqueue({ ...options, [part]: odd }), RangeError, "be aligned");
  }
});
