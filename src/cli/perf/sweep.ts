/**
 * The RFC's table: six buffer sizes in three modes.
 *
 * @module
 */
import type { PerfOptions } from "./options.ts";
import type { Plan } from "./plan.ts";
import type { PerfResult } from "./result.ts";
import { ROWS } from "./table.ts";

const KIB = 1024;
const COLUMNS = [4, 16, 64, 128, 256, 512].map((size) => size * KIB);
const PILOT_BYTES = 32 * KIB * KIB;
const CELL_SECONDS = 0.8;
const MOST_BYTES = 2 * KIB ** 3; // the RFC's amount

/** Runs one measurement; `label` is for the progress bar. */
export type Runner = (plan: Plan, label: string) => Promise<PerfResult>;

/**
 * Measures cell by cell, column by column. All cells of a column send the same amount: what was
 * asked for, or what copying takes about a second for, found by a short run before.
 */
export async function* sweep(
  { plan, amountGiven }: PerfOptions,
  run: Runner,
): AsyncGenerator<PerfResult, void, void> {
  for (const size of COLUMNS) {
    const column = { ...plan, bufferBytes: size, rcvlowatBytes: size };
    const bytes = amountGiven ? plan.bytes : await fittingAmount(column, run);
    for (const [mode, , words] of ROWS) {
      yield await run({ ...column, mode, bytes }, `${words} ${size / KIB}K`);
    }
  }
}

async function fittingAmount(column: Plan, run: Runner): Promise<number> {
  const pilot = { ...column, mode: "copy", bytes: PILOT_BYTES, verify: false } as const;
  const { rx_seconds } = await run(pilot, `pilot ${column.bufferBytes / KIB}K`);
  const pilots = Math.ceil(CELL_SECONDS / rx_seconds);
  return Math.min(pilots * PILOT_BYTES, MOST_BYTES);
}
