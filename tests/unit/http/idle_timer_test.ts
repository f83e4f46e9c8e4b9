import process from "node:process";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import { IdleTimer } from "../../../src/http/idle_timer.ts";

const limit = { timeout: 60_000 };

/** A timer, and the next time it calls back; something has to hold the event loop meanwhile. */
class Watched {
  readonly timer: IdleTimer = new IdleTimer(() => {
    this.calls += 1;
    this.#called();
  });
  calls = 0;
  #called: () => void = () => {};

  async call(): Promise<void> {
    const hold = setInterval(() => {}, 1_000);
    await new Promise<void>((resolve) => this.#called = resolve);
    clearInterval(hold);
  }
}

test("IdleTimer calls back so long after whatever happened last", limit, async () => {
  const watched = new Watched();
  watched.timer.set(30);
  let last = 0;
  const begin = performance.now();
  while (watched.calls === 0 && performance.now() < begin + 100) {
    last = performance.now();
    watched.timer.touch();
    await setImmediate();
  }
  if (watched.calls === 0) await watched.call();
  assert(performance.now() - last >= 29);
});

test(
  "IdleTimer counts on from what has happened meanwhile, with no further call",
  limit,
  async () => {
    const [watched, other] = [new Watched(), new Watched()];
    watched.timer.set(50);
    other.timer.set(1);
    await other.call();
    watched.timer.touch();
    if (watched.calls === 0) await watched.call();
  },
);

test("IdleTimer calls back once, and again after something has happened", limit, async () => {
  const watched = new Watched();
  watched.timer.set(1);
  await watched.call();
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  assertEquals(watched.calls, 1);
  watched.timer.touch();
  await watched.call();
  assertEquals(watched.calls, 2);
});

test("IdleTimer.set() takes a shorter time than the one that is counted", limit, async () => {
  const watched = new Watched();
  watched.timer.set(1_000_000);
  watched.timer.set(1);
  await watched.call();
  assertEquals(watched.timer.ms, 1);
});

test("IdleTimer waits for longer than a timer can", limit, async () => {
  const [long, endless, other] = [new Watched(), new Watched(), new Watched()];
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on("warning", note);
  long.timer.set(2 ** 40);
  endless.timer.set(Infinity);
  other.timer.set(10);
  await other.call();
  await setImmediate(); // a warning is told a little later
  process.off("warning", note);
  long.timer.stop();
  endless.timer.stop();
  assertEquals([long.calls, endless.calls, warnings], [0, 0, []]);
});

test("IdleTimer does not call back once it is off", limit, async () => {
  const [off, stopped, other] = [new Watched(), new Watched(), new Watched()];
  for (const { timer } of [off, stopped, other]) timer.set(1);
  off.timer.set(0);
  stopped.timer.stop();
  await other.call();
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  off.timer.touch();
  assertEquals([off.calls, stopped.calls, off.timer.ms, stopped.timer.ms], [0, 0, 0, 0]);
});
