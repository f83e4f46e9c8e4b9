/**
 * One measurement for people to read.
 *
 * @module
 */
import { formatSize } from "../args/values.ts";
import { formatColumns } from "../output/table.ts";
import { modeRow } from "./plan.ts";
import type { PerfResult, ReceivedResult, SentResult } from "./result.ts";

/** Several lines with labels, those of A to D that this process knows among them. */
export function formatReport(result: PerfResult | ReceivedResult | SentResult): string {
  const rows = "rx_seconds" in result
    ? [...headOf(result), ...sentRows(result), ...receivedRows(result)]
    : [["mode", describe(result)] as const, ...sentRows(result)];
  const { sha256 } = result;
  if (sha256 !== undefined) rows.push([hashLabel(result), sha256]);
  return formatColumns(rows);
}

type Row = readonly [label: string, value: string];

function describe({ type, transport, runtime }: ReceivedResult | SentResult): string {
  return `${type} over ${transport}, ${runtime}`;
}

function headOf(result: ReceivedResult): Row[] {
  return [
    ["mode", `${result.mode}, ${describe(result)}`],
    ["total bytes received", `${result.bytes} (${formatSize(result.bytes)})`],
    [
      result.mode === "copy" ? "receiver buffer" : "receiver mapping",
      `${formatSize(result.buffer_bytes)}, SO_RCVLOWAT ${formatSize(result.rcvlowat_bytes)}, ` +
      `socket buffer ${
        result.credit_bytes === 0 ? "of the kernel's choice" : formatSize(result.credit_bytes)
      }`,
    ],
    ...mappedRows(result),
  ];
}

function mappedRows({ mapped_bytes, bytes }: ReceivedResult): Row[] {
  if (mapped_bytes === undefined) return [];
  const percent = mapped_bytes / Math.max(1, bytes) * 100;
  return [["  mapped, not copied", `${percent.toFixed(2)} %`]];
}

function sentRows(result: PerfResult | ReceivedResult | SentResult): Row[] {
  if (!("tx_seconds" in result)) return [];
  const { tx_seconds, send_seconds, tx_copied_share } = result;
  const rows: Row[] = [
    ["A transmitter, tx loop", formatSeconds(tx_seconds)],
    ["  in send", formatSeconds(send_seconds)],
  ];
  if (tx_copied_share !== undefined) {
    rows.push(["  MSG_ZEROCOPY, copied after all", `${(tx_copied_share * 100).toFixed(1)} %`]);
  }
  if ("rx_seconds" in result) return rows;
  return [["total bytes sent", `${result.bytes} (${formatSize(result.bytes)})`], ...rows];
}

function receivedRows(result: ReceivedResult): Row[] {
  return [
    ["B receiver, rx loop", formatSeconds(result.rx_seconds)],
    [`C receiver, ${modeRow(result.mode).calls}`, formatSeconds(result.dequeue_seconds)],
    ["  wake-ups", String(result.wakeups)],
    ["D per wake-up, C / wake-ups", `${result.ns_per_wakeup} ns`],
    ["receiver performance", `${result.rx_gbit_per_s.toFixed(3)} Gbit/s`],
  ];
}

function hashLabel(result: PerfResult | ReceivedResult | SentResult): string {
  const both = "rx_seconds" in result && "tx_seconds" in result;
  return both ? "SHA-256, both ends" : "SHA-256";
}

function formatSeconds(value: number): string {
  return `${value.toFixed(6)} s`;
}
