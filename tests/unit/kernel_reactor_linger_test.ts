import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { PollFds } from "../../ffi/abi/poll.ts";
import { Linger } from "../../src/kernel/reactor_linger.ts";

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

test("Linger.poll() looks before it blocks, each time where that is worth while", () => {
  const { linger, looks } = lingering(() => true);
  for (let i = 0; i < 100; i++) assertEquals(linger.poll(fds), true);
  assertEquals(looks, { spun: 100, blocked: 0 });
});

test("Linger.poll() looks again and again for its while", () => {
  let left = 1000;
  const { linger, looks } = lingering(() => --left === 0, 60_000);
  assertEquals(linger.poll(fds), true);
  assertEquals(looks, { spun: 1000, blocked: 0 });
});

test("Linger.poll() blocks each time where that is worth while, and spins hardly ever", () => {
  const { linger, looks } = lingering((timeoutMs) => timeoutMs > 0);
  for (let i = 0; i < 255; i++) assertEquals(linger.poll(fds), true);
  assertEquals(looks, { spun: 8, blocked: 255 }); // at 0, 2, 6, 14, ... 254
});

test("Linger.poll() does either less and less where nothing comes, and never stops trying", () => {
  const { linger, looks } = lingering(() => false);
  for (let i = 0; i < 510; i++) assertEquals(linger.poll(fds), false);
  assertEquals(looks, { spun: 8, blocked: 8 });
  for (let i = 0; i < 2560; i++) linger.poll(fds);
  assertEquals(looks, { spun: 18, blocked: 18 });
});

test("Linger.poll() does both again after a hit", () => {
  let ready = false;
  const { linger, looks } = lingering(() => ready);
  for (let i = 0; i < 6; i++) linger.poll(fds);
  assertEquals(looks, { spun: 2, blocked: 2 });
  ready = true;
  for (let i = 0; i < 10; i++) assertEquals(linger.poll(fds), true);
  assertEquals(looks, { spun: 12, blocked: 2 });
});

test("Linger.poll() only blocks where there is no processor to spin on", () => {
  const { linger, looks } = lingering(() => true, 0);
  for (let i = 0; i < 10; i++) assertEquals(linger.poll(fds), true);
  assertEquals(looks, { spun: 0, blocked: 10 });
});
