import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { VirtqueueError } from "../../src/virtio/chain.ts";
import { gather, joined, scatter, spansOf } from "../../src/vhost_user/spans.ts";

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
  assertEquals(spansOf(chain, 4, 20), [
    { address: 104, length: 6 },
    { address: 110, length: 10 },
    { address: 500, length: 4 },
  ]);
  assertEquals(spansOf(chain, 10, 3), [{ address: 110, length: 3 }]);
});

test("joined() joins what lies side by side in one piece of memory, and nothing else", () => {
  const spans = spansOf(chain, 0, 30);
  assertEquals(joined(spans, () => true), [
    { address: 100, length: 20 },
    { address: 500, length: 10 },
  ]);
  assertEquals(joined(spans, () => false), spans);
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
