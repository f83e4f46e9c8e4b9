import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/loopback/mod.ts";

test("ManualClock.advance() runs what becomes due at its own time and in its order", () => {
  const clock = new ManualClock();
  const ran: string[] = [];
  clock.after(20, () => ran.push(`b ${clock.now()}`));
  clock.after(10, () => {
    ran.push(`a ${clock.now()}`);
    clock.after(5, () => ran.push(`nested ${clock.now()}`));
  });
  const cancel = clock.after(12, () => ran.push("never"));
  clock.after(31, () => ran.push("later"));
  cancel();
  clock.advance(30);
  assertEquals(ran, ["a 10", "nested 15", "b 20"]);
  assertEquals(clock.now(), 30);
});

test("ManualClock.advance() goes on, never back", () => {
  const clock = new ManualClock();
  clock.advance(1_000);
  for (const ms of [-1, NaN]) assertThrows(() => clock.advance(ms), RangeError, "Cannot use ms");
  assertEquals(clock.now(), 1_000);
});
