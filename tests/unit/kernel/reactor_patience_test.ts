import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { PollFds } from "../../../ffi/abi/poll.ts";
import { Patience } from "../../../src/kernel/reactor_patience.ts";

/** So short that it is over after one look. */
const ONE_LOOK_MS = 1e-9;

/** A patience whose looks find what `ready(timeoutMs)` says, and how many looks there were. */
function patient(ready: (timeoutMs: number) => boolean, spinMs = ONE_LOOK_MS) {
  const looks = { spun: 0, blocked: 0 };
  const patience = new Patience((_, timeoutMs) => {
    looks[timeoutMs > 0 ? "blocked" : "spun"]++;
    return ready(timeoutMs) ? 1 : 0;
  }, spinMs);
  return { patience, looks };
}

const fds: PollFds = new PollFds(1);

test("Patience.forAnswer() looks before it blocks, each time where that is worth while", () => {
  const { patience, looks } = patient(() => true);
  for (let i = 0; i < 100; i++) assertEquals(patience.forAnswer(fds), true);
  assertEquals(looks, { spun: 100, blocked: 0 });
});

test("Patience.forAnswer() looks again and again for its while", () => {
  let left = 1000;
  const { patience, looks } = patient(() => --left === 0, 60_000);
  assertEquals(patience.forAnswer(fds), true);
  assertEquals(looks, { spun: 1000, blocked: 0 });
});

test("Patience.forAnswer() gives up where the clock stands still", () => {
  let looks = 0;
  const patience = new Patience((_, timeoutMs) => {
    if (timeoutMs === 0 && ++looks > 1_000_000) throw new Error("it never gives up");
    return 0;
  }, 60_000);
  const { now } = performance;
  performance.now = () => 0;
  try {
    assertEquals(patience.forAnswer(fds), false);
  } finally {
    performance.now = now;
  }
});

test("Patience.forAnswer() blocks where that is worth while, and then spins hardly ever", () => {
  const { patience, looks } = patient((timeoutMs) => timeoutMs > 0);
  for (let i = 0; i < 255; i++) assertEquals(patience.forAnswer(fds), true);
  assertEquals(looks, { spun: 8, blocked: 255 }); // at 0, 2, 6, 14, ... 254
});

test("Patience.forAnswer() does both less and less where nothing comes, and never stops", () => {
  const { patience, looks } = patient(() => false);
  for (let i = 0; i < 510; i++) assertEquals(patience.forAnswer(fds), false);
  assertEquals(looks, { spun: 8, blocked: 8 });
  for (let i = 0; i < 2560; i++) patience.forAnswer(fds);
  assertEquals(looks, { spun: 18, blocked: 18 });
});

test("Patience.forAnswer() does both again after a hit", () => {
  let ready = false;
  const { patience, looks } = patient(() => ready);
  for (let i = 0; i < 6; i++) patience.forAnswer(fds);
  assertEquals(looks, { spun: 2, blocked: 2 });
  ready = true;
  for (let i = 0; i < 10; i++) assertEquals(patience.forAnswer(fds), true);
  assertEquals(looks, { spun: 12, blocked: 2 });
});

test("Patience.forAnswer() only blocks where there is no processor to spin on", () => {
  const { patience, looks } = patient(() => true, 0);
  for (let i = 0; i < 10; i++) assertEquals(patience.forAnswer(fds), true);
  assertEquals(looks, { spun: 0, blocked: 10 });
});

test("Patience.forMore() blocks at once, each time where that is worth while", () => {
  const { patience, looks } = patient(() => true);
  for (let i = 0; i < 100; i++) assertEquals(patience.forMore(fds, i % 2 === 0), true);
  assertEquals(looks, { spun: 0, blocked: 100 });
});

test("Patience.forMore() blocks less and less where nothing comes, and never stops trying", () => {
  const { patience, looks } = patient(() => false);
  for (let i = 0; i < 510; i++) assertEquals(patience.forMore(fds, false), false);
  assertEquals(looks, { spun: 502, blocked: 8 }); // at 0, 2, 6, 14, ... 254
  for (let i = 0; i < 2560; i++) patience.forMore(fds, false);
  assertEquals(looks.blocked, 18);
});

test("Patience.forMore() sees what is ready where it does not block, and blocks again after a hit", () => {
  let ready = false;
  const { patience, looks } = patient(() => ready);
  patience.forMore(fds, false);
  ready = true;
  assertEquals([patience.forMore(fds, false), looks.blocked], [true, 1]);
  assertEquals([patience.forMore(fds, false), patience.forMore(fds, false)], [true, true]);
  assertEquals(looks.blocked, 3);
});

test("Patience.forMore() of what is known to be dry looks only where it blocks for it", () => {
  const { patience, looks } = patient(() => false);
  for (let i = 0; i < 510; i++) assertEquals(patience.forMore(fds, true), false);
  assertEquals(looks, { spun: 0, blocked: 8 });
});
