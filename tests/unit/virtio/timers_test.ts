import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Timers } from "../../../src/virtio/timers.ts";
import { seeded } from "../../../src/loopback/random.ts";

test("Timers.run() runs what is due, in the order of time, and nothing that was cancelled", () => {
  const timers = new Timers();
  const random = seeded(1);
  const ran: number[] = [];
  const due: number[] = [];
  for (let i = 0; i < 1_000; i++) {
    const at = Math.floor(random() * 100);
    const timer = timers.add(at, () => ran.push(at));
    if (random() < 0.3) timers.cancel(timer);
    else if (at <= 50) due.push(at);
  }
  timers.run(50);
  assertEquals(ran, due.sort((a, b) => a - b));
  assertEquals(timers.next() > 50, true);
});

test("Timers.next() is Infinity once nothing is left", () => {
  const timers = new Timers();
  assertEquals(timers.next(), Infinity);
  timers.cancel(timers.add(1, () => {}));
  assertEquals(timers.next(), Infinity);
  timers.add(2, () => {});
  assertEquals(timers.next(), 2);
  timers.run(2);
  assertEquals(timers.next(), Infinity);
});

test("Timers.run() also runs what a deadline sets for the same time", () => {
  const timers = new Timers();
  const ran: string[] = [];
  timers.add(1, () => {
    ran.push("first");
    timers.add(1, () => ran.push("second"));
  });
  timers.run(1);
  assertEquals(ran, ["first", "second"]);
});

test("Timers.cancel() drops what was cancelled, before its time", () => {
  const timers = new Timers();
  const ran: number[] = [];
  for (let i = 0; i < 1_000; i++) {
    const live = 1_000 - i % 7;
    if (i % 100 === 0) timers.add(live, () => ran.push(live));
    const timer = timers.add(3_600_000 - i, () => ran.push(i));
    timers.cancel(timer);
    timers.cancel(timer);
  }
  assertEquals(timers.kept <= 20, true);
  timers.run(3_600_000);
  assertEquals(ran, [994, 995, 996, 996, 997, 998, 998, 999, 1_000, 1_000]);
  assertEquals(timers.kept, 0);
});
