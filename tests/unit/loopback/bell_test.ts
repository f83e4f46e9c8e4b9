import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { LoopHold } from "../../../src/wait/loop_hold.ts";
import { Bell } from "../../../src/loopback/bell.ts";
import { createLink, END_WORDS, WORD } from "../../../src/loopback/link_memory.ts";
import { Words } from "../../../src/loopback/ring.ts";

/** A thread that must not sleep, nor be woken. */
class Wakeful extends Words {
  override wait(): void {
    throw new Error("slept");
  }
  override notify(): void {
    throw new Error("woken");
  }
}

/** A thread that says how long it would sleep. */
class Told extends Words {
  longestMs = -Infinity;
  override wait(_word: number, _value: number, timeoutMs: number): void {
    this.longestMs = Math.max(this.longestMs, timeoutMs);
  }
}

/** A bell without news. */
function silentBell(): { bell: Bell; own: Words; peer: Words } {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const [own, peer] = [new Words(control, 0), new Words(control, END_WORDS)];
  return { bell: new Bell(own, peer, () => false), own, peer };
}

test("Bell.waitSync() looks once more after it said that it sleeps", () => {
  // News that come after the spin, just when the word is set: nobody rings for them.
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const own = new Wakeful(control, 0);
  let came = false;
  const sleeper = new Bell(own, own, () => came ||= own.load(WORD.sleeping) === 1);
  assertEquals([sleeper.waitSync(1_000, 1_000, () => {}), own.load(WORD.sleeping)], [true, 0]);
});

test("Bell.ring() makes no call where the peer is awake, and puts 0 where it sleeps", () => {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const awake = new Wakeful(control, 0);
  new Bell(awake, awake, () => false).ring();
  const { bell: ringer, peer } = silentBell();
  peer.store(WORD.sleeping, 1);
  ringer.ring();
  assertEquals(peer.load(WORD.sleeping), 0);
});

test("Bell.waitSync() runs its tick however short the wait", () => {
  const { bell: sleeper } = silentBell();
  let ticks = 0;
  assertEquals(sleeper.waitSync(0, 1_000, () => ticks++), false);
  assertEquals(ticks > 0, true);
});

test("Bell.waitSync() runs its tick between sleeps and ends in time", { timeout: 60_000 }, () => {
  const { bell: sleeper } = silentBell();
  let ticks = 0;
  assertEquals(sleeper.waitSync(500, 5, () => ticks++), false);
  assertEquals(ticks > 1, true);
});

test("Bell.waitSync() asks for no sleep that is longer than what is left", () => {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const own = new Told(control, 0);
  assertEquals(new Bell(own, own, () => false).waitSync(20, 60_000, () => {}), false);
  assertEquals(own.longestMs > -Infinity && own.longestMs <= 20, true);
});

test("Bell.waitAsync() of news does not say that it sleeps", async () => {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const own = new Wakeful(control, 0);
  await new Bell(own, own, () => true).waitAsync();
  assertEquals(own.load(WORD.sleeping), 0);
});

test("Bell.waitSync() leaves a pending waitAsync() to be woken", { timeout: 60_000 }, async () => {
  const { bell: sleeper, own } = silentBell();
  using hold = new LoopHold();
  hold.acquire();
  const wait = sleeper.waitAsync();
  assertEquals([sleeper.waitSync(20, 5, () => {}), own.load(WORD.sleeping)], [false, 1]);
  new Bell(own, own, () => false).ring();
  await wait;
  hold.release();
});

/** The peer rings between the look for news and the sleep. */
class Rung extends Words {
  override waitAsync(word: number, value: number): Promise<unknown> | undefined {
    this.store(word, 0);
    return super.waitAsync(word, value);
  }
}

test("Bell.waitAsync() resolves where the peer rings before it sleeps", {
  timeout: 60_000,
}, async () => {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const own = new Rung(control, 0);
  await new Bell(own, own, () => false).waitAsync();
});

test("Bell.waitAsync() ends at news though nobody rings, where Atomics.waitAsync is missing", {
  timeout: 60_000,
}, async () => {
  const [{ control }] = createLink({ smallBlocks: 1, largeBlocks: 1 });
  const own = new Words(control, 0);
  let news = false;
  const { waitAsync } = Atomics;
  Reflect.deleteProperty(Atomics, "waitAsync");
  using hold = new LoopHold();
  hold.acquire();
  try {
    const wait = new Bell(own, own, () => news).waitAsync();
    news = true; // such as that this end was closed, and the peer put the 1 back
    await wait;
    assertEquals(own.load(WORD.sleeping), 1);
  } finally {
    hold.release();
    const property = { value: waitAsync, configurable: true, writable: true };
    Object.defineProperty(Atomics, "waitAsync", property);
  }
});
