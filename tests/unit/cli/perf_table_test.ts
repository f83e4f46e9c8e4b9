import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import type { Mode } from "../../../src/cli/perf/plan.ts";
import { formatReport } from "../../../src/cli/perf/report.ts";
import type { PerfResult } from "../../../src/cli/perf/result.ts";
import { formatTable, formatVerdict } from "../../../src/cli/perf/table.ts";

function result(mode: Mode, size: number, ns_per_wakeup: number): PerfResult {
  return {
    mode,
    transport: "loopback",
    runtime: "node 26.0.0",
    type: "stream",
    bytes: 1_048_576,
    buffer_bytes: size,
    rcvlowat_bytes: size,
    credit_bytes: 16_777_216,
    tx_buffer_bytes: 1_048_576,
    tx_seconds: 0.5,
    send_seconds: 0.125,
    rx_seconds: 0.625,
    rx_cpu_seconds: 0.5,
    dequeue_seconds: 0.25,
    wakeups: 1_048_576 / size,
    ns_per_wakeup,
    rx_gbit_per_s: 13.4217728,
    clock_ns: 50,
  };
}

/** D of copying and of zero-copy for 4K, 16K, 64K. */
function verdict(...pairs: readonly [number, number][]): string {
  return formatVerdict(pairs.flatMap(([copy, mapped], index) => [
    result("copy", 4096 * 4 ** index, copy),
    result("zerocopy", 4096 * 4 ** index, mapped),
  ]));
}

test("formatVerdict() names the smallest size from which zero-copy keeps the lower D", () => {
  const expected = "Zero-copy wins from 16K on: D is 15 ns there, 20 ns by copy\n";
  assertEquals(verdict([10, 13], [20, 15], [40, 16]), expected);
  assertEquals(
    verdict([10, 9], [20, 15], [40, 16]),
    "Zero-copy wins from 4K on: D is 9 ns there, 10 ns by copy\n",
  );
});

test("formatVerdict() says so when zero-copy does not win, an equal D included", () => {
  assertEquals(verdict([10, 13], [20, 20]), "Zero-copy does not win at the largest size (D)\n");
  assertEquals(
    verdict([10, 9], [20, 25]),
    "Zero-copy does not win at the largest size (D), only at 4K\n",
  );
});

test("formatVerdict() names a win below the size from which zero-copy keeps winning", () => {
  assertEquals(
    verdict([10, 9], [20, 21], [40, 16]),
    "Zero-copy wins from 64K on: D is 16 ns there, 40 ns by copy; it also wins at 4K\n",
  );
});

test("formatTable() has a column for each size and five labelled lines for each mode", () => {
  const sizes = [4096, 524_288];
  const modes = ["copy", "zerocopy", "user-poll"] as const;
  const results = sizes.flatMap((size) => modes.map((mode) => result(mode, size, size / 4)));
  const lines = formatTable(results).split("\n");
  assertEquals(lines[0]?.trim().split(/\s+/), ["4K", "512K"]);
  assertEquals(lines[1]?.split(/\s+/), ["sent", "1M", "1M"]);
  assertEquals(lines.slice(2, 17).map((line) => line.slice(0, 12).trimEnd()), [
    ...["C   A/B s", "    C s", "    wake-ups", "    D ns", "    Gbit/s"],
    ...["ZC  A/B s", "    C s", "    wake-ups", "    D ns", "    Gbit/s"],
    ...["ZU  A/B s", "    C s", "    wake-ups", "    D ns", "    Gbit/s"],
  ]);
  assertEquals(lines[2]?.split(/\s+/).slice(3), ["0.50/0.63", "0.50/0.63"]);
  assertEquals(lines[5]?.trim().split(/\s+/), ["D", "ns", "1024", "131072"]);
});

test("formatTable() and formatVerdict() do without what was not measured", () => {
  const results = [result("copy", 4096, 1024)];
  assertEquals(formatTable(results).includes("ZC  A/B"), false);
  assertMatch(formatVerdict(results), /^Nothing was mapped/);
});

test("formatReport() says of one end what it knows", () => {
  const { tx_seconds, send_seconds, tx_buffer_bytes, ...received } = result("copy", 65_536, 15_625);
  assertEquals(/transmitter/.test(formatReport(received)), false);
  assertMatch(formatReport(received), /^B receiver, rx loop +0\.625000 s$/m);
  const { transport, runtime, type, bytes } = received;
  const head = { transport, runtime, type, bytes };
  const sent = formatReport({ ...head, tx_seconds, send_seconds, tx_buffer_bytes });
  assertEquals(/receiver/.test(sent), false);
  assertMatch(sent, /^A transmitter, tx loop +0\.500000 s$/m);
  assertMatch(sent, /^ +in send +0\.125000 s$/m);
  assertEquals(/MSG_ZEROCOPY/.test(sent), false);
});

test("formatReport() has the part that was copied after all", () => {
  const report = formatReport({ ...result("copy", 65_536, 15_625), tx_copied_share: 0.0625 });
  assertMatch(report, /^ +MSG_ZEROCOPY, copied after all +6\.3 %$/m);
});

test("formatReport() labels A to D by the words transmitter and receiver", () => {
  const report = formatReport(result("zerocopy", 65_536, 15_625));
  assertMatch(report, /^A transmitter, tx loop +0\.500000 s$/m);
  assertMatch(report, /^B receiver, rx loop +0\.625000 s$/m);
  assertMatch(report, /^C receiver, getsockopt \+ madvise +0\.250000 s$/m);
  assertMatch(report, /^D per wake-up, C \/ wake-ups +15625 ns$/m);
  assertMatch(report, /^ +wake-ups +16$/m);
  assertMatch(report, /13\.422 Gbit\/s$/m);
});
