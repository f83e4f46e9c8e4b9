import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { createLink, END_WORDS, SLOT_WORDS, WORD } from "../../../src/loopback/link_memory.ts";
import { BROKEN, NONE, RingReader, RingWriter, Words } from "../../../src/loopback/ring.ts";

function ring(entries: number, firstIndex = 0) {
  const [{ control, lanes }] = createLink({ ringEntries: entries, firstIndex });
  const [a, b] = [new Words(control, 0), new Words(control, END_WORDS)];
  const memory = lanes[0].ring;
  return {
    writer: new RingWriter(memory, [a, WORD.tail], [b, WORD.head], firstIndex),
    reader: new RingReader(memory, [b, WORD.head], [a, WORD.tail], firstIndex),
    a,
    b,
  };
}

function put(writer: RingWriter, value: number): boolean {
  const at = writer.claim();
  if (at < 0) return false;
  writer.slots[at] = value;
  writer.publish();
  return true;
}

function take(reader: RingReader): number {
  const value = reader.slots[reader.slot()]!;
  reader.release();
  return value;
}

for (const firstIndex of [0, 0x7fff_fffd, 0xffff_fffd]) {
  test(`RingWriter keeps the order and stops at full, from index ${firstIndex} on`, () => {
    const { writer, reader } = ring(4, firstIndex);
    assertEquals([reader.pending(), reader.count()], [false, 0]);
    let [sent, taken] = [0, 0];
    for (let round = 0; round < 5; round++) {
      while (put(writer, sent)) sent++;
      assertEquals([sent - taken, writer.claim(), writer.moved()], [4, NONE, false]);
      assertEquals([reader.pending(), reader.count()], [true, 4]);
      assertEquals([take(reader), take(reader), take(reader)], [taken, taken + 1, taken + 2]);
      taken += 3;
      assertEquals([reader.count(), writer.moved()], [1, true]);
    }
  });
}

test("RingWriter.claim() is BROKEN where the reader has taken what was never sent", () => {
  for (const head of [1, -5, 0x7fff_ffff]) {
    const { writer, b } = ring(4);
    for (let i = 0; i < 4; i++) put(writer, i);
    b.store(WORD.head, head === 1 ? 5 : head);
    assertEquals(writer.claim(), BROKEN);
  }
});

test("RingReader.count() is BROKEN where more was sent than the ring has room for", () => {
  for (const tail of [5, -1, 0x7fff_ffff, -0x8000_0000]) {
    const { reader, a } = ring(4);
    a.store(WORD.tail, tail);
    assertEquals(reader.count(), BROKEN);
  }
});

test("RingReader stays inside of the ring whatever its own word says", () => {
  const { writer, reader, b } = ring(4);
  put(writer, 1);
  b.store(WORD.head, 0x1234_5678);
  assertEquals([reader.count(), reader.slot()], [1, 0]);
  reader.release();
  assertEquals([b.load(WORD.head), reader.slot()], [1, SLOT_WORDS]);
});
