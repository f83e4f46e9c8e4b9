import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Bell } from "../../src/loopback/bell.ts";
import { createLink, END_WORDS, WORD } from "../../src/loopback/link_memory.ts";
import { Words } from "../../src/loopback/ring.ts";

const DAY_MS = 86_400_000;

/** A bell whose news come when `news` says so. */
function bell(news: (own: Words) => boolean): { bell: Bell; own: Words; peer: Words } {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const [own, peer] = [new Words(control, 0), new Words(control, END_WORDS)];
  return { bell: new Bell(own, peer, () => news(own)), own, peer };
}

test("Bell.waitSync() looks once more after it said that it sleeps", { timeout: 60_000 }, () => {
  // News that come after the spin, just when the word is set: nobody rings for them.
  let came = false;
  const { bell: sleeper, own } = bell((own) => came ||= own.load(WORD.sleeping) === 1);
  assertEquals([sleeper.waitSync(DAY_MS, DAY_MS, () => {}), own.load(WORD.sleeping)], [true, 0]);
});

test("Bell.ring() makes no call where the peer is awake, and puts 0 where it sleeps", () => {
  const { bell: ringer, peer } = bell(() => false);
  peer.store(WORD.sleeping, 0);
  ringer.ring();
  assertEquals(peer.load(WORD.sleeping), 0);
  peer.store(WORD.sleeping, 1);
  ringer.ring();
  assertEquals(peer.load(WORD.sleeping), 0);
});

test("Bell.waitSync() runs its tick between sleeps and ends in time", { timeout: 60_000 }, () => {
  const { bell: sleeper } = bell(() => false);
  let ticks = 0;
  assertEquals(sleeper.waitSync(50, 5, () => ticks++), false);
  assertEquals(ticks > 0, true);
});
