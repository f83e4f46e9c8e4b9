import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { VirtqueueError } from "../../../src/virtio/chain.ts";
import { gather, scatter, spansOf } from "../../../src/vhost_user/spans.ts";

const chain = {
  head: 0,
  descriptors: 3,
  readable: 30,
  writable: 0,
  segments: [
    { address: 100, length: 10, writable: false },
    { address: 110, length: 10, writable: false },
    { address: 500, length: 10, writable: false },
  ],
};

test("spansOf() cuts a chain where its segments do", () => {
  assertEquals(spansOf(chain, 4, 20, () => false), [
    { address: 104, length: 6 },
    { address: 110, length: 10 },
    { address: 500, length: 4 },
  ]);
  assertEquals(spansOf(chain, 10, 3, () => true), [{ address: 110, length: 3 }]);
});

test("spansOf() joins what lies side by side in one piece of memory, and nothing else", () => {
  const asked: number[][] = [];
  const joins = (address: number, length: number): boolean => asked.push([address, length]) > 0;
  assertEquals(spansOf(chain, 2, 26, joins), [
    { address: 102, length: 18 },
    { address: 500, length: 8 },
  ]);
  assertEquals(asked, [[102, 18]]);
  const row = [0, 1, 2, 3].map((i) => ({ address: 10 * i, length: 10, writable: false }));
  const spans = spansOf({ ...chain, segments: row }, 5, 30, joins);
  assertEquals(spans, [{ address: 5, length: 30 }]);
});

test("gather() and scatter() copy to and from wherever the segments lie", () => {
  const ram = new Uint8Array(1_000).map((_, i) => i);
  const memory = {
    bytes: (gpa: number, length: number): Uint8Array | undefined =>
      gpa + length <= ram.length ? ram.subarray(gpa, gpa + length) : undefined,
  };
  const into = new Uint8Array(12);
  gather(memory, chain, 9, into);
  assertEquals([...into], [109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 500 % 256]);
  scatter(memory, chain, 18, Uint8Array.of(1, 2, 3));
  assertEquals([ram[118], ram[119], ram[500]], [1, 2, 3]);
  const outside = { ...chain, segments: [{ address: 995, length: 10, writable: false }] };
  assertThrows(
    () => gather(memory, outside, 0, new Uint8Array(10)),
    VirtqueueError,
    "guest memory",
  );
});
