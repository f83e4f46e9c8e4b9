/** Packets of other guests that wait for one: each of the senders has a limit of its own. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Forwarded } from "../../../src/vhost_user/forwarded.ts";
import type { Packet } from "../../../src/virtio/packet.ts";

const PAGE = 4_096;
const LIMIT = 4 * PAGE;

function packet(srcCid: number, len: number): Packet {
  const ends = { srcCid, srcPort: 1, dstCid: 9, dstPort: 2, type: 1 };
  return { ...ends, len, op: 5, flags: 0, bufAlloc: 0, fwdCnt: 0 };
}

test("Forwarded.push() takes what a guest has room for, down to the byte, and a page at least", () => {
  const forwarded = new Forwarded();
  const taken = [2 * PAGE, 0, 1, 1].map((len) => forwarded.push(packet(3, len), LIMIT));
  assertEquals([taken, forwarded.length], [[true, true, true, false], 3]);
  assertEquals(forwarded.push(packet(4, LIMIT + 1), LIMIT), false);
  assertEquals(forwarded.push(packet(4, LIMIT), LIMIT), true);
});

test("Forwarded.drop() gives the sender of the first its room back, and no more", () => {
  const forwarded = new Forwarded();
  for (const len of [PAGE + 1, 1, PAGE]) forwarded.push(packet(3, len), LIMIT);
  forwarded.push(packet(4, LIMIT), LIMIT);
  forwarded.drop();
  assertEquals(forwarded.first?.packet.len, 1);
  const taken = [2 * PAGE + 1, 2 * PAGE, 1].map((len) => forwarded.push(packet(3, len), LIMIT));
  assertEquals(taken, [false, true, false]);
  assertEquals(forwarded.push(packet(4, 1), LIMIT), false);
  assertEquals(forwarded.clear().map(({ packet: { len } }) => len), [1, PAGE, LIMIT, 2 * PAGE]);
  assertEquals([forwarded.length, forwarded.push(packet(4, LIMIT), LIMIT)], [0, true]);
});
