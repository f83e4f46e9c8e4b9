/**
 * One measurement for people to read.
 *
 * @module
 */
import { formatSize } from "../sizes.ts";
import type { Mode } from "./plan.ts";
import type { PerfResult } from "./result.ts";

/** The calls that C times. */
export const DEQUEUE_CALLS: Readonly<Record<Mode, string>> = {
  copy: "recv",
  zerocopy: "getsockopt + madvise",
  "user-poll": "getsockopt + madvise",
};

/** Several lines with labels, A to D among them. */
export function formatReport(result: PerfResult): string {
  const seconds = (value: number): string => `${value.toFixed(6)} s`;
  const rows: readonly (readonly [string, string])[] = [
    ["mode", `${result.mode}, ${result.type} over ${result.transport}, ${result.runtime}`],
    ["total bytes received", `${result.bytes} (${formatSize(result.bytes)})`],
    [
      result.mode === "copy" ? "receiver buffer" : "receiver mapping",
      `${formatSize(result.buffer_bytes)}, SO_RCVLOWAT ${formatSize(result.rcvlowat_bytes)}, ` +
      `socket buffer ${formatSize(result.credit_bytes)}`,
    ],
    ["A transmitter, tx loop", seconds(result.tx_seconds)],
    ["B receiver, rx loop", seconds(result.rx_seconds)],
    [`C receiver, ${DEQUEUE_CALLS[result.mode]}`, seconds(result.dequeue_seconds)],
    ["  wake-ups", String(result.wakeups)],
    ["D per wake-up, C / wake-ups", `${result.ns_per_wakeup} ns`],
    ["receiver performance", `${result.rx_gbit_per_s.toFixed(3)} Gbit/s`],
    ...(result.sha256 === undefined ? [] : [["SHA-256, both ends", result.sha256] as const]),
  ];
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows.map(([label, value]) => `${label.padEnd(width)}${value}\n`).join("");
}
