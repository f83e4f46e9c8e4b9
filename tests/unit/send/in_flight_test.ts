/** Ids of MSG_ZEROCOPY, without a kernel. */
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { InFlight } from "../../../src/send/in_flight.ts";

const DATA = new Uint8Array(10);

/** `count` sends from `next` on, of 1, 2, 3... bytes; what has ended so far. */
function sending(count: number, next = 0): { flight: InFlight; ended: [number, boolean][] } {
  const flight = new InFlight(next);
  const ended: [number, boolean][] = [];
  for (let bytes = 1; bytes <= count; bytes++) {
    flight.add(DATA, bytes, (bytes, copied) => ended.push([bytes, copied]));
  }
  return { flight, ended };
}

test("InFlight.complete() ends all of a range, once, and says which were copied", () => {
  const { flight, ended } = sending(4);
  assert(flight.complete(0, 1, false));
  assertEquals(ended, [[1, false], [2, false]]);
  assert(flight.complete(1, 2, true));
  assertEquals(ended.slice(2), [[3, true]]);
  assertEquals(flight.size, 1);
});

test("InFlight.complete() takes ranges in any order", () => {
  const { flight, ended } = sending(3);
  assert(flight.complete(2, 2, false));
  assert(flight.complete(0, 1, false));
  assertEquals([ended.map(([bytes]) => bytes), flight.size], [[3, 1, 2], 0]);
});

test("InFlight.complete() counts modulo 2^32, in one range and across several", () => {
  for (const ranges of [[[2 ** 32 - 2, 1]], [[2 ** 32 - 2, 2 ** 32 - 1], [0, 1]]] as const) {
    const { flight, ended } = sending(4, 2 ** 32 - 2);
    for (const [first, last] of ranges) assert(flight.complete(first, last, false));
    assertEquals([ended.map(([bytes]) => bytes), flight.size], [[1, 2, 3, 4], 0]);
  }
});

test("InFlight.complete() of a range of billions ends what there is, at once", () => {
  const { flight, ended } = sending(3, 2 ** 31 + 5);
  assert(flight.complete(6, 2 ** 31 + 6, false));
  assertEquals([ended.map(([bytes]) => bytes), flight.size], [[1, 2], 1]);
});

test("InFlight.complete() refuses what was never given out, and ends nothing", () => {
  const { flight, ended } = sending(2);
  assertEquals(flight.complete(0, 2, false), false);
  assertEquals([new InFlight().complete(0, 0, false), ended, flight.size], [false, [], 2]);
});

test("InFlight.complete() tells of a copy that was known before", () => {
  const { flight, ended } = sending(1);
  flight.add(DATA, 2, (bytes, copied) => ended.push([bytes, copied]), true);
  assert(flight.complete(0, 1, false));
  assertEquals(ended, [[1, false], [2, true]]);
});
