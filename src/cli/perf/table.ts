/**
 * The table of a sweep, as in the RFC's letter but labelled, and what it says about zero-copy.
 *
 * @module
 */
import { formatSize } from "../args/values.ts";
import { type Mode, MODES } from "./plan.ts";
import type { PerfResult } from "./result.ts";

const LINES: readonly (readonly [string, (result: PerfResult) => string])[] = [
  ["A/B s", (result) => `${result.tx_seconds.toFixed(2)}/${result.rx_seconds.toFixed(2)}`],
  ["C s", (result) => result.dequeue_seconds.toFixed(3)],
  ["wake-ups", (result) => String(result.wakeups)],
  ["D ns", (result) => String(result.ns_per_wakeup)],
  ["Gbit/s", (result) => result.rx_gbit_per_s.toFixed(2)],
];

const LEGEND =
  `C copy; ZC zero-copy and poll; ZU zero-copy and user poll (spin); AU the cheaper of C and ZC
A seconds in the transmitter's tx loop, B in the receiver's rx loop with waiting, C in dequeue calls
D nanoseconds in dequeue calls per wake-up (C / wake-ups); columns: buffer and SO_RCVLOWAT
`;

/** All of a sweep: columns by buffer size, rows by mode. */
export function formatTable(results: readonly PerfResult[]): string {
  const columns = [...new Set(results.map(({ buffer_bytes }) => buffer_bytes))];
  const line = (label: string, cells: readonly string[]): string =>
    `${label.padEnd(13)}${cells.map((cell) => cell.padStart(12)).join("")}`.trimEnd() + "\n";
  const row = (mode: Mode, print: (result: PerfResult) => string): readonly string[] =>
    columns.map((size) => {
      const result = find(results, mode, size);
      return result === undefined ? "-" : print(result);
    });
  const measured = MODES.filter(({ mode }) => results.some((result) => result.mode === mode));
  const rows = measured.flatMap(({ mode, short }) =>
    LINES.map(([label, print], index) =>
      line(`${(index === 0 ? short : "").padEnd(4)}${label}`, row(mode, print))
    )
  );
  const sent = row("copy", ({ bytes }) => formatSize(bytes));
  return line("", columns.map(formatSize)) + line("sent", sent) + rows.join("") + LEGEND;
}

/** One line: from which size zero-copy has the lower D. */
export function formatVerdict(results: readonly PerfResult[]): string {
  const copies = results.filter(({ mode }) => mode === "copy");
  const pairs = copies.flatMap((copy) => {
    const mapped = find(results, "zerocopy", copy.buffer_bytes);
    return mapped === undefined ? [] : [{ size: copy.buffer_bytes, copy, mapped }];
  });
  if (pairs.length === 0) return "Nothing was mapped: there is no zero-copy to compare with\n";
  const wins = pairs.map(({ copy, mapped }) => mapped.ns_per_wakeup < copy.ns_per_wakeup);
  const from = pairs[wins.lastIndexOf(false) + 1];
  const strays = pairs.filter((_, index) => wins[index] && index < wins.lastIndexOf(false));
  const also = strays.map(({ size }) => formatSize(size)).join(", ");
  if (from === undefined) {
    return `Zero-copy does not win at the largest size (D)${also && `, only at ${also}`}\n`;
  }
  const { size, copy, mapped } = from;
  return `Zero-copy wins from ${formatSize(size)} on: D is ${mapped.ns_per_wakeup} ns there, ` +
    `${copy.ns_per_wakeup} ns by copy${also && `; it also wins at ${also}`}\n`;
}

function find(
  results: readonly PerfResult[],
  mode: Mode,
  size: number,
): PerfResult | undefined {
  return results.find((result) => result.mode === mode && result.buffer_bytes === size);
}
