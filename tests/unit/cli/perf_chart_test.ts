import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { formatChart } from "../../../src/cli/perf/chart.ts";
import type { PerfResult } from "../../../src/cli/perf/result.ts";

const RESULT: PerfResult = {
  mode: "copy",
  transport: "a <b> & c",
  runtime: "deno 2.9.6",
  type: "stream",
  bytes: 1 << 20,
  buffer_bytes: 4096,
  rcvlowat_bytes: 4096,
  credit_bytes: 1 << 20,
  tx_buffer_bytes: 1 << 20,
  tx_seconds: 1,
  send_seconds: 0.5,
  rx_cpu_seconds: 1,
  rx_seconds: 1,
  dequeue_seconds: 0.5,
  wakeups: 256,
  ns_per_wakeup: 1000,
  rx_gbit_per_s: 1,
  clock_ns: 40,
};

/** The points of the line of `mode`, in pixels. */
function pointsOf(svg: string, mode: string): [number, number][] {
  const circles = new RegExp(`<circle class="${mode}" cx="([\\d.]+)" cy="([\\d.]+)"`, "g");
  return Array.from(svg.matchAll(circles), ([, x, y]) => [Number(x), Number(y)]);
}

test("formatChart() draws a line for each mode, equal steps for equal factors", () => {
  const columns = [[256, 1000], [64, 2000], [16, 4000]] as const;
  const results = columns.flatMap(([wakeups, ns]) => [
    { ...RESULT, wakeups, ns_per_wakeup: ns },
    { ...RESULT, wakeups, ns_per_wakeup: 1000, mode: "zerocopy" } as const,
  ]);
  const svg = formatChart(results);
  const copy = pointsOf(svg, "copy");
  assertEquals(copy.length, 3);
  const steps = copy.slice(1).map(([x, y], index) => [x - copy[index]![0], copy[index]![1] - y]);
  assert(Math.abs(steps[0]![0]! - steps[1]![0]!) < 0.2, `${steps}`);
  assert(Math.abs(steps[0]![1]! - steps[1]![1]!) < 0.2, `${steps}`);
  assert(steps[0]![0]! > 50 && steps[0]![1]! > 50, `${steps}`);
  const flat = new Set(pointsOf(svg, "zerocopy").map(([, y]) => y));
  assertEquals(flat.size, 1);
  assertEquals(svg.match(/<path class="line /g)?.length, 2);
});

test("formatChart() escapes what it is given", () => {
  const svg = formatChart([RESULT, { ...RESULT, wakeups: 1, ns_per_wakeup: 5 }]);
  assertStringIncludes(svg, "a &#60;b&#62; &#38; c");
});

test("formatChart() draws what is all the same, and nothing out of nothing", () => {
  const svg = formatChart([RESULT]);
  assertEquals(svg.includes("NaN") || svg.includes("Infinity"), false);
  assertThrows(() => formatChart([]), RangeError);
});
