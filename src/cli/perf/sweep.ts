/**
 * The RFC's table: six buffer sizes in each mode.
 *
 * @module
 */
import type { PerfOptions } from "./options.ts";
import { type Mode, MODES, type Plan } from "./plan.ts";
import type { PerfResult } from "./result.ts";

const KIB = 1024;
/** Buffer sizes in bytes, the largest one last. */
export const COLUMNS: readonly number[] = [4, 16, 64, 128, 256, 512].map((size) => size * KIB);
const CELL_SECONDS = 0.6;
const PILOT_SECONDS = 0.1;
const PILOT_BYTES = 16 * KIB * KIB;

/** Runs one measurement; `label` is for the progress bar. */
export type Runner = (plan: Plan, label: string) => Promise<PerfResult>;

/** The end that receives, elsewhere, cannot do it by this mode. */
export class UnsupportedModeError extends Error {
  /** Always `"UnsupportedModeError"`. */
  override readonly name: string = "UnsupportedModeError";
}

/**
 * Measures cell by cell, column by column. All cells of a column send the same amount: what was
 * asked for, or what copying takes about a second for. Only the modes are there that work; what
 * lacks elsewhere goes to `onUnsupported`.
 */
export async function* sweep(
  { plan, amountGiven }: PerfOptions,
  run: Runner,
  works: (mode: Mode) => boolean,
  onUnsupported: (error: UnsupportedModeError) => void,
): AsyncGenerator<PerfResult, void, void> {
  const lacking = new Set<Mode>();
  for (const size of COLUMNS) {
    const txBufferBytes = plan.type === "seqpacket" ? size : plan.txBufferBytes;
    const column = { ...plan, bufferBytes: size, rcvlowatBytes: size, txBufferBytes };
    const bytes = amountGiven ? plan.bytes : await fittingAmount(column, run);
    for (const { mode, words } of MODES) {
      if (lacking.has(mode) || !works(mode)) continue;
      try {
        yield await run({ ...column, mode, bytes }, `${words} ${size / KIB}K`);
      } catch (error) {
        if (!(error instanceof UnsupportedModeError)) throw error;
        lacking.add(mode);
        onUnsupported(error);
      }
    }
  }
}

/** Found by runs that get longer until one is long enough to tell. */
async function fittingAmount(column: Plan, run: Runner): Promise<number> {
  for (let bytes = PILOT_BYTES;; bytes *= 8) {
    const pilot = { ...column, mode: "copy", bytes, verify: false } as const;
    const { rx_seconds } = await run(pilot, `pilot ${column.bufferBytes / KIB}K`);
    if (rx_seconds < PILOT_SECONDS) continue;
    return Math.ceil(bytes / PILOT_BYTES * CELL_SECONDS / rx_seconds) * PILOT_BYTES;
  }
}
