import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { PollFds } from "../../ffi/abi/poll.ts";
import { Linger } from "../../src/kernel/reactor_linger.ts";

/** A linger whose moments all end as `ready()` says, and how many of its looks blocked. */
function lingering(ready: () => boolean): { linger: Linger; blocked: () => number } {
  let blocked = 0;
  const linger = new Linger((_, timeoutMs) => {
    if (timeoutMs > 0) blocked++;
    return ready() ? 1 : 0;
  });
  return { linger, blocked: () => blocked };
}

const fds: PollFds = new PollFds(1);

test("Linger.poll() blocks each time where that is worth while", () => {
  const { linger, blocked } = lingering(() => true);
  for (let i = 0; i < 100; i++) assertEquals(linger.poll(fds), true);
  assertEquals(blocked(), 100);
});

test("Linger.poll() blocks less and less where nothing comes, and never stops trying", () => {
  const { linger, blocked } = lingering(() => false);
  for (let i = 0; i < 510; i++) assertEquals(linger.poll(fds), false);
  assertEquals(blocked(), 8); // at 0, 2, 6, 14, ... 254
  for (let i = 0; i < 2560; i++) linger.poll(fds);
  assertEquals(blocked(), 18);
});

test("Linger.poll() sees what is ready where it does not block, and blocks again after a hit", () => {
  let ready = false;
  const { linger, blocked } = lingering(() => ready);
  linger.poll(fds);
  ready = true;
  assertEquals([linger.poll(fds), blocked()], [true, 1]);
  assertEquals([linger.poll(fds), linger.poll(fds), blocked()], [true, true, 3]);
});

test("Linger.poll() of what is known to be dry looks only where it blocks for it", () => {
  let looks = 0;
  const linger = new Linger(() => (looks++, 0));
  for (let i = 0; i < 510; i++) assertEquals(linger.poll(fds, true), false);
  assertEquals(looks, 8);
});
