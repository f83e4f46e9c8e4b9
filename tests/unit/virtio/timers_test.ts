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

test("Timers.run() keeps the order of what is left when the rest was dropped", () => {
  const timers = new Timers();
  const ran: number[] = [];
  const all = Array.from({ length: 100 }, (_, i) => {
    const at = i * 37 % 101; // each another one
    return timers.add(at, () => ran.push(at));
  });
  const left: number[] = [];
  for (const timer of all) {
    if (timer.at % 5 === 0) left.push(timer.at);
    else timers.cancel(timer);
  }
  const { kept } = timers;
  assertEquals(kept <= 2 * left.length, true);
  const [gone] = Array.from({ length: 4 }, () => timers.add(101, () => ran.push(101)));
  timers.cancel(gone!);
  assertEquals(timers.kept, kept + 4, "nothing is dropped for one");
  timers.run(100);
  assertEquals(ran, left.sort((a, b) => a - b));
});

test("Timers.cancel() of what has run drops nothing else, and costs nothing", () => {
  const timers = new Timers();
  const ran: string[] = [];
  const done = [1, 2, 3].map((at) => timers.add(at, () => ran.push("done")));
  timers.run(3);
  const late = [4, 5].map((at) => timers.add(at, () => ran.push("late")));
  for (const timer of done) timers.cancel(timer);
  timers.cancel(late[0]!);
  assertEquals(timers.kept, 2, "half of them: nothing was dropped yet");
  timers.run(5);
  assertEquals(ran, ["done", "done", "done", "late"]);
});
