/** No order of the steps of a reactor and its thread loses a ring, or the end of the thread. */
import { test } from "node:test";
import { assertGreater, assertLess, assertNotEquals, assertThrows } from "@std/assert";
import { SCRIPT } from "../../../src/kernel/reactor_worker.ts";
import { everyChoice } from "../virtio/virtqueue_schedules.ts";
import { type Wait, WatchSchedule } from "./watch_schedules.ts";

const LIMIT = 50_000;
const LONG = { timeout: 120_000 };

/** Runs it in every order with up to `switches` interruptions: how many those are. */
function explore(waits: readonly Wait[], switches: number, posts: boolean, text?: string): number {
  return everyChoice(
    LIMIT,
    (choose) => new WatchSchedule(switches, posts, choose).run(waits, text),
  );
}

const PLANS: readonly (readonly Wait[])[] = [
  [],
  ["abort"],
  ["event", "rest", "event"],
  ["abort beside event"],
  ["early event", "abort", "event"],
];

for (const posts of [false, true]) {
  for (const waits of PLANS) {
    const what = `${waits.join(", ") || "nothing"}, then stop(), by ${posts ? "post" : "notify"}`;
    test(`Watch loses nothing in any order of steps: ${what}`, LONG, () => {
      const runs = explore(waits, 3, posts);
      assertGreater(runs, 5);
      assertLess(runs, LIMIT);
    });
  }
}

for (
  const [what, from, to] of [
    ["does not look again before it parks", /if \(Atomics[^;]*await called/, "await called"],
    ["says that it parks when it has looked", /(Atomics.store[^;]*parked, 1\);)([^;]*;)/, "$2$1"],
    ["parks for good", /parked, 1\)/, "parked, 0)"],
    ["rings before it says so", /(Atomics.store[^;]*bell, 1\);)([^]*)continue;/, "$2$1 continue;"],
    ["closes nothing", /calls\.close\(fd\)/, "0"],
    ["tells nobody that it has ended", /Atomics.store[^;]*state\.ended\)/, "0"],
  ] as const
) {
  test(`WatchSchedule finds out a thread that ${what}`, LONG, () => {
    const text = SCRIPT.replace(from, to);
    assertNotEquals(text, SCRIPT);
    assertThrows(() => explore(PLANS[4]!, 3, false, text), Error, "lost: ");
  });
}
