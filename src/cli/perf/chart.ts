/**
 * A sweep as a picture: what a wake-up costs by what it brings, one line a mode, log-log.
 *
 * @module
 */
import { scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { formatSize } from "../args/values.ts";
import { MODES } from "./plan.ts";
import type { PerfResult } from "./result.ts";

type Scale = (value: number) => number;

const [WIDTH, HEIGHT] = [780, 420];
/** The box of the lines within the picture. */
const BOX = { left: 76, right: 580, top: 44, bottom: 356 } as const;
/** How far apart the names of two lines are, in pixels. */
const LABEL_GAP = 16;
/** By what factor the picture goes beyond the lowest and the highest cost. */
const MARGIN = 1.3;

/** Readable on light and on dark; a page that shows the picture has its scheme. */
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #57606a }
  .title { font-weight: 600; fill: #1f2328 }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  .copy { --c: #cf222e } .zerocopy { --c: #0969da } .user-poll { --c: #1a7f37 } .auto { --c: #8250df }
  .line { stroke: var(--c) } circle, .name { fill: var(--c) }
  .auto.line { stroke-dasharray: 6 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title { fill: #f0f6fc } .grid { stroke: #3d444d }
    .copy { --c: #ff7b72 } .zerocopy { --c: #58a6ff } .user-poll { --c: #3fb950 }
    .auto { --c: #bc8cff }
  }
`;

/** One mode: its points in pixels, from the smallest column to the largest. */
interface Line {
  readonly mode: string;
  readonly label: string;
  readonly points: readonly [number, number][];
}

/** The picture as a file of SVG; `results` are those of one sweep. */
export function formatChart(results: readonly PerfResult[]): string {
  const first = results[0];
  if (first === undefined) throw new RangeError("Cannot draw a chart: must be of some results");
  const bytes = results.map(bytesPerWakeup);
  const costs = results.map(({ ns_per_wakeup }) => Math.max(1, ns_per_wakeup));
  const x = scaleLog([Math.min(...bytes), Math.max(...bytes)], [BOX.left, BOX.right]).base(2);
  const range = [Math.min(...costs) / MARGIN, Math.max(...costs) * MARGIN] as const;
  const y = scaleLog(range, [BOX.bottom, BOX.top]);
  const title = `What a wake-up costs: ${first.transport}, ${first.runtime}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${escaped(title)}</title><style>${STYLE}</style>`,
    text(BOX.left, 24, title, "title"),
    ...x.ticks(8).map((at: number) => text(x(at), BOX.bottom + 22, formatSize(at), "", "middle")),
    text((BOX.left + BOX.right) / 2, HEIGHT - 16, "bytes per wake-up", "", "middle"),
    ...roundNumbers(...range).flatMap((at) => [
      `<line class="grid" x1="${BOX.left}" x2="${BOX.right}" y1="${px(y(at))}" y2="${px(y(at))}"/>`,
      text(BOX.left - 10, y(at) + 4, formatNs(at), "", "end"),
    ]),
    ...drawLines(linesOf(results, x, y)),
    "</svg>\n",
  ].join("\n");
}

function bytesPerWakeup({ bytes, wakeups }: PerfResult): number {
  return bytes / Math.max(1, wakeups);
}

function linesOf(results: readonly PerfResult[], x: Scale, y: Scale): Line[] {
  return MODES.flatMap(({ mode, short, words }) => {
    const points = results.filter((result) => result.mode === mode)
      .map((result): [number, number] => [
        x(bytesPerWakeup(result)),
        y(Math.max(1, result.ns_per_wakeup)),
      ]).sort(([a], [b]) => a - b);
    return points.length === 0 ? [] : [{ mode, label: `${short} ${words}`, points }];
  });
}

/** The lines with their names at their right ends, which make room for one another. */
function* drawLines(lines: readonly Line[]): Generator<string, void, void> {
  const path = line();
  let taken = -Infinity;
  for (const { mode, label, points } of lines.toSorted((a, b) => endOf(a) - endOf(b))) {
    taken = Math.max(endOf({ mode, label, points }) + 4, taken + LABEL_GAP);
    yield `<path class="line ${mode}" d="${path(points)}"/>`;
    yield* points.map(([cx, cy]) =>
      `<circle class="${mode}" cx="${px(cx)}" cy="${px(cy)}" r="3.5"/>`
    );
    yield text(BOX.right + 10, taken, label, `name ${mode}`);
  }
}

function endOf({ points }: Line): number {
  return points.at(-1)![1];
}

/** 1, 2 and 5 of each power of ten from `from` to `to`; the powers alone where those are many. */
function roundNumbers(from: number, to: number): number[] {
  const powers = Array.from({ length: 16 }, (_, power) => 10 ** power);
  const digits = to / from > 1000 ? [1] : [1, 2, 5];
  return powers.flatMap((power) => digits.map((digit) => digit * power))
    .filter((number) => number >= from && number <= to);
}

function formatNs(ns: number): string {
  if (ns < 1000) return `${ns} ns`;
  return ns < 1e6 ? `${ns / 1000} µs` : `${ns / 1e6} ms`;
}

function text(x: number, y: number, words: string, name: string, anchor = "start"): string {
  const classes = name === "" ? "" : ` class="${name}"`;
  return `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}"${classes}>${
    escaped(words)
  }</text>`;
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(words: string): string {
  return words.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
