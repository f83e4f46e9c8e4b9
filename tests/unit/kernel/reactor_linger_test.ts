import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { PollFds } from "../../../ffi/abi/poll.ts";
import { Linger } from "../../../src/kernel/reactor_linger.ts";

/** So short that it is over after one look. */
const ONE_LOOK_MS = 1e-9;

/** A linger whose looks find what `ready(timeoutMs)` says, and how many there were of each kind. */
function lingering(ready: (timeoutMs: number) => boolean, spinMs = ONE_LOOK_MS) {
  const looks = { spun: 0, blocked: 0 };
  const linger = new Linger((_, timeoutMs) => {
    looks[timeoutMs > 0 ? "blocked" : "spun"]++;
    return ready(timeoutMs) ? 1 : 0;
  }, spinMs);
  return { linger, looks };
}

const fds: PollFds = new PollFds(1);

test("Linger.forAnswer() looks before it blocks, each time where that is worth while", () => {
  const { linger, looks } = lingering(() => true);
  for (let i = 0; i < 100; i++) assertEquals(linger.forAnswer(fds), true);
  assertEquals(looks, { spun: 100, blocked: 0 });
});

test("Linger.forAnswer() looks again and again for its while", () => {
  let left = 1000;
  const { linger, looks } = lingering(() => --left === 0, 60_000);
  assertEquals(linger.forAnswer(fds), true);
  assertEquals(looks, { spun: 1000, blocked: 0 });
});

test("Linger.forAnswer() blocks where that is worth while, and then spins hardly ever", () => {
  const { linger, looks } = lingering((timeoutMs) => timeoutMs > 0);
  for (let i = 0; i < 255; i++) assertEquals(linger.forAnswer(fds), true);
  assertEquals(looks, { spun: 8, blocked: 255 }); // at 0, 2, 6, 14, ... 254
});

test("Linger.forAnswer() does both less and less where nothing comes, and never stops", () => {
  const { linger, looks } = lingering(() => false);
  for (let i = 0; i < 510; i++) assertEquals(linger.forAnswer(fds), false);
  assertEquals(looks, { spun: 8, blocked: 8 });
  for (let i = 0; i < 2560; i++) linger.forAnswer(fds);
  assertEquals(looks, { spun: 18, blocked: 18 });
});

test("Linger.forAnswer() does both again after a hit", () => {
  let ready = false;
  const { linger, looks } = lingering(() => ready);
  for (let i = 0; i < 6; i++) linger.forAnswer(fds);
  assertEquals(looks, { spun: 2, blocked: 2 });
  ready = true;
  for (let i = 0; i < 10; i++) assertEquals(linger.forAnswer(fds), true);
  assertEquals(looks, { spun: 12, blocked: 2 });
});

test("Linger.forAnswer() only blocks where there is no processor to spin on", () => {
  const { linger, looks } = lingering(() => true, 0);
  for (let i = 0; i < 10; i++) assertEquals(linger.forAnswer(fds), true);
  assertEquals(looks, { spun: 0, blocked: 10 });
});

test("Linger.forMore() blocks at once, each time where that is worth while", () => {
  const { linger, looks } = lingering(() => true);
  for (let i = 0; i < 100; i++) assertEquals(linger.forMore(fds, i % 2 === 0), true);
  assertEquals(looks, { spun: 0, blocked: 100 });
});

test("Linger.forMore() blocks less and less where nothing comes, and never stops trying", () => {
  const { linger, looks } = lingering(() => false);
  for (let i = 0; i < 510; i++) assertEquals(linger.forMore(fds, false), false);
  assertEquals(looks, { spun: 502, blocked: 8 }); // at 0, 2, 6, 14, ... 254
  for (let i = 0; i < 2560; i++) linger.forMore(fds, false);
  assertEquals(looks.blocked, 18);
});

test("Linger.forMore() sees what is ready where it does not block, and blocks again after a hit", () => {
  let ready = false;
  const { linger, looks } = lingering(() => ready);
  linger.forMore(fds, false);
  ready = true;
  assertEquals([linger.forMore(fds, false), looks.blocked], [true, 1]);
  assertEquals([linger.forMore(fds, false), linger.forMore(fds, false)], [true, true]);
  assertEquals(looks.blocked, 3);
});

test("Linger.forMore() of what is known to be dry looks only where it blocks for it", () => {
  const { linger, looks } = lingering(() => false);
  for (let i = 0; i < 510; i++) assertEquals(linger.forMore(fds, true), false);
  assertEquals(looks, { spun: 0, blocked: 8 });
});
