import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Stillness } from "../../../src/cli/serving/stillness.ts";
import { sleepSync } from "../../../src/wait/sleep.ts";

const PERIOD_MS = 50;

/** As a process does that is stopped, and goes on. */
function standStill(): void {
  sleepSync(4 * PERIOD_MS);
}

test("Stillness does not count the time for which the process was stopped", () => {
  const stillness = new Stillness(PERIOD_MS, 0);
  standStill();
  assertEquals(stillness.look(0), 2 * PERIOD_MS);
  standStill();
  assertEquals(stillness.look(0), 4 * PERIOD_MS);
});

test("Stillness begins anew when something has moved", () => {
  const stillness = new Stillness(PERIOD_MS, 0);
  standStill();
  assertEquals(stillness.look(1), 0);
  standStill();
  assert(stillness.look(1) > 0);
});
