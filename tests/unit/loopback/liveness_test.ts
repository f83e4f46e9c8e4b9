import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { createLink, END_WORDS, STATE, WORD } from "../../../src/loopback/link_memory.ts";
import { Pulse } from "../../../src/loopback/liveness.ts";
import { Words } from "../../../src/loopback/ring.ts";

const DEAD_AFTER_MS = 4_000;
const BEAT_MS = 500;

/** Two ends whose clock is `advance()`d by hand while `run` runs. */
function withPulses(
  run: (pulses: { own: Pulse; peer: Pulse; words: Words; advance(ms: number): void }) => void,
): void {
  const { now } = performance;
  let ms = 1_000;
  performance.now = () => ms;
  try {
    const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
    const [a, b] = [new Words(control, 0), new Words(control, END_WORDS)];
    const [own, peer] = [new Pulse(a, b, DEAD_AFTER_MS), new Pulse(b, a, DEAD_AFTER_MS)];
    b.store(WORD.state, STATE.open);
    run({ own, peer, words: b, advance: (by) => ms += by });
  } finally {
    performance.now = now;
  }
}

test("Pulse.peerIsDead() tells of a peer that is silent for deadAfterMs, and not before", () => {
  withPulses(({ own, peer, advance }) => {
    assertEquals(own.beatMs, BEAT_MS);
    for (let round = 0; round < 2; round++) {
      peer.beat();
      assertEquals(own.peerIsDead(), false);
      for (let silent = 0; silent < DEAD_AFTER_MS; silent += BEAT_MS) {
        advance(BEAT_MS);
        assertEquals(own.peerIsDead(), false);
      }
    }
    advance(1);
    assertEquals(own.peerIsDead(), true);
  });
});

test("Pulse.peerIsDead() counts two beats of any time that its own thread did not listen", () => {
  withPulses(({ own, peer, advance }) => {
    peer.beat();
    assertEquals(own.peerIsDead(), false);
    for (let i = 0; i < 4; i++) {
      advance(3_600_000); // the whole process was stopped, or the machine asleep
      assertEquals(own.peerIsDead(), false);
    }
    advance(1);
    assertEquals(own.peerIsDead(), true);
  });
});

test("Pulse.peerIsDead() waits for ever for a peer that has not opened its end", () => {
  withPulses(({ own, peer, words, advance }) => {
    words.store(WORD.state, STATE.created);
    for (let i = 0; i < 100; i++) {
      advance(BEAT_MS);
      assertEquals([own.met, own.peerIsDead()], [false, false]);
    }
    words.store(WORD.state, STATE.open);
    peer.beat();
    assertEquals([own.peerIsDead(), own.met], [false, true]);
  });
});

test("Pulse.start() beats at once, and ticks until stop()", { timeout: 60_000 }, async () => {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const [own, peer] = [new Words(control, 0), new Words(control, END_WORDS)];
  const pulse = new Pulse(own, peer, 80);
  assertEquals([pulse.beatMs, new Pulse(own, peer, 40_000).beatMs], [10, 500]);
  await new Promise<void>((resolve) => {
    const hold = setTimeout(() => {}, 60_000);
    let ticks = 0;
    pulse.start(() => {
      if (++ticks < 3) return;
      pulse.stop();
      clearTimeout(hold);
      resolve();
    });
    assertEquals(own.load(WORD.beat), 1);
  });
});
