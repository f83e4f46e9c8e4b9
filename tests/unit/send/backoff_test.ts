import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { timers } from "../../../src/runtime/builtins.ts";
import { Backoff } from "../../../src/send/backoff.ts";

test("Backoff.next() takes twice as long each time, up to 100 ms, and holds no process", async () => {
  const module = timers() as { setTimeout: unknown };
  const { setTimeout } = module;
  const taken: number[] = [];
  let unrefs = 0;
  module.setTimeout = (wake: () => void, ms: number) => {
    taken.push(ms);
    queueMicrotask(wake);
    return { unref: () => unrefs++ };
  };
  try {
    const backoff = new Backoff();
    for (let i = 0; i < 9; i++) await backoff.next();
    backoff.reset();
    await backoff.next();
  } finally {
    module.setTimeout = setTimeout;
  }
  assertEquals(taken, [1, 2, 4, 8, 16, 32, 64, 100, 100, 1]);
  assertEquals(unrefs, taken.length);
});
