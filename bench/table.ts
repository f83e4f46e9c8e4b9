/**
 * The table that `deno task bench` prints.
 *
 * @module
 */
import type { Row, Target } from "./bench.ts";

/** The rows of one runtime. */
export interface Report {
  /** Its name and version. */
  readonly runtime: string;
  /** In the order of the table. */
  readonly rows: readonly Row[];
  /** Names of those that could not be measured. */
  readonly missing: readonly string[];
}

const HEAD = ["what", "ours", "peer", "ratio", "target", "met"] as const;

/**
 * All reports, one under another, in columns of one width; then what is to be known of the rows.
 */
export function formatTable(reports: readonly Report[]): string {
  const cells = reports.map(({ rows }) => rows.map(cellsOf));
  const widths = HEAD.map((title, column) =>
    Math.max(title.length, ...cells.flat().map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => pad(cell, widths[column]!, column)).join("  ").trimEnd() + "\n";
  const tables = reports.map(({ runtime, missing }, index) =>
    `\n${runtime}\n${line(HEAD)}${cells[index]!.map(line).join("")}${formatMissing(missing)}`
  );
  return tables.join("") + formatNotes(reports.flatMap(({ rows }) => rows));
}

/** A row by itself: its name, what it came to, and whether that will do. */
export function formatLine({ name, ours, unit, ratio, met }: Row): string {
  const value = ratio === undefined ? `${formatNumber(ours)} ${unit}` : `${formatNumber(ratio)}x`;
  return `${name} ${value}${met === false ? ", NOT met" : ""}`;
}

function formatMissing(names: readonly string[]): string {
  return names.length === 0 ? "" : `NOT measured: ${names.join(", ")}\n`;
}

/** Words to the left, numbers to the right. */
function pad(cell: string, width: number, column: number): string {
  return column === 1 || column === 3 ? cell.padStart(width) : cell.padEnd(width);
}

function cellsOf(row: Row): string[] {
  const { what, ours, peer, peerIs, ratio, unit, target, met } = row;
  return [
    what,
    `${formatNumber(ours)} ${unit}`,
    peer === undefined ? "-" : `${formatNumber(peer)} ${unit} (${peerIs})`,
    ratio === undefined ? "-" : `${formatNumber(ratio)}x`,
    target === undefined ? "-" : formatTarget(target, ratio === undefined ? ` ${unit}` : "x"),
    met === undefined ? "-" : met ? "yes" : "NO",
  ];
}

function formatTarget(target: Target, unit: string): string {
  return "atLeast" in target
    ? `at least ${target.atLeast}${unit}`
    : `at most ${target.atMost}${unit}`;
}

/** Three digits that count, and never a power of ten. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}

function formatNotes(rows: readonly Row[]): string {
  const notes = new Map<string, string>();
  for (const { what, note } of rows) {
    if (note !== undefined && !notes.has(note)) notes.set(note, what);
  }
  const lines = [...notes].map(([note, what]) => `${what}: ${note}\n`).join("");
  return lines === "" ? "" : `\n${lines}`;
}
