/**
 * Whether memory grows with what flows: 2 GiB in every receive mode.
 *
 * @module
 */
import type { Bench, Round, RowSpec } from "./bench.ts";
import { type Flow, runFlow } from "./flow.ts";

const MIB = 1024 * 1024;
const MODES = ["copy", "zerocopy", "user-poll"] as const;
const FLOW: Omit<Flow, "way"> = {
  bytes: 2048 * MIB,
  warmupBytes: 0,
  chunkBytes: 64 * 1024,
  creditBytes: 4 * MIB,
  touch: false,
  hash: false,
};

async function round(): Promise<Round> {
  const values: Record<string, number> = {};
  for (const way of MODES) values[way] = (await runFlow({ ...FLOW, way })).rssGrowth / MIB;
  return values;
}

async function prove(): Promise<void> {
  for (const way of MODES) await runFlow({ ...FLOW, way, bytes: 16 * MIB, hash: true });
}

/** How much resident memory grows, by receive mode. */
export const memory: Bench = {
  rounds: 2,
  prove,
  round,
  rows: MODES.map((mode): RowSpec => ({
    name: `memory-${mode}`,
    what: `RSS growth over 2 GiB, ${mode}`,
    ours: mode,
    unit: "MiB",
    target: { atMost: 64 },
    pick: "most",
    note: "resident memory of both Workers, from the first bytes on; the worst round",
  })),
};
