import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Bench, judge, measure, median, type RowSpec } from "../../../bench/bench.ts";

const SPEC: RowSpec = { name: "row", what: "a row", ours: "a", peer: "b", unit: "ns" };

function bench(round: () => Record<string, number>, prove: () => Promise<void>): Bench {
  return { rows: [SPEC], rounds: 3, prove, round: () => Promise.resolve(round()) };
}

test("median() is the middle, or the mean of the two in the middle", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 2, 3]), 2.5);
  assertThrows(() => median([]), RangeError);
});

test("judge() divides medians, not the rounds' own ratios", () => {
  const rounds = [{ a: 10, b: 1 }, { a: 20, b: 10 }, { a: 90, b: 2 }];
  const row = judge(SPEC, rounds);
  assertEquals([row.ours, row.peer, row.ratio], [20, 2, 10]);
  assertEquals([row.oursRounds, row.peerRounds], [[10, 20, 90], [1, 10, 2]]);
});

test("judge() meets a target that is reached exactly, from either side", () => {
  const rounds = [{ a: 8, b: 2 }];
  const met = (target: RowSpec["target"]): boolean | undefined =>
    judge({ ...SPEC, ...(target && { target }) }, rounds).met;
  assertEquals(met({ atLeast: 4 }), true);
  assertEquals(met({ atLeast: 4.1 }), false);
  assertEquals(met({ atMost: 4 }), true);
  assertEquals(met({ atMost: 3.9 }), false);
  assertEquals(met(undefined), undefined);
});

test("judge() holds the value itself against the target where there is no peer", () => {
  const alone = { name: "row", what: "a row", ours: "a", unit: "MiB", target: { atMost: 64 } };
  const rounds = [{ a: 1 }, { a: 2 }, { a: 70 }];
  assertEquals(judge(alone, rounds).met, true);
  const worst = judge({ ...alone, pick: "most" }, rounds);
  assertEquals([worst.ours, worst.ratio, worst.met], [70, undefined, false]);
});

test("judge() refuses a round without the value, or with one that is no number", () => {
  assertThrows(() => judge(SPEC, [{ a: 1 }]), Error, "Cannot judge b");
  assertThrows(() => judge(SPEC, [{ a: NaN, b: 1 }]), Error, "Cannot judge a");
});

test("measure() proves first, and measures nothing where the proof fails", async () => {
  const steps: string[] = [];
  const round = (): Record<string, number> => (steps.push("round"), { a: 1, b: 1 });
  const rows = await measure(
    bench(round, () => Promise.resolve(void steps.push("prove"))),
    () => true,
  );
  assertEquals(steps, ["prove", "round", "round", "round"]);
  assertEquals(rows.length, 1);
  const broken = bench(round, () => Promise.reject(new Error("a wrong answer")));
  await assertRejects(() => measure(broken, () => true), Error, "a wrong answer");
  assertEquals(steps.length, 4);
});

test("measure() runs nothing of a bench without a wanted row", async () => {
  const never = bench(() => ({}), () => Promise.reject(new Error("never")));
  assertEquals(await measure(never, (name) => name !== "row"), []);
});
