/**
 * A guest and its VMM do whatever a random number says: the device serves another guest, and keeps
 * nothing. `VSOCKIT_SEED` replays a run, `VSOCKIT_RUNS` makes more of them: each has 1000 steps.
 */
import process from "node:process";
import { test } from "node:test";
import { assert } from "@std/assert";
import { seeded } from "../../src/loopback/random.ts";
import { leavesNothing } from "../device/footprint.ts";
import { World } from "./device_world.ts";

/** So many that none of what is looked for below is missing by chance. */
const DEFAULT_RUNS = 200;
const RUNS = Number(process.env["VSOCKIT_RUNS"] ?? DEFAULT_RUNS);
const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const STEPS = 1_000;
/** Steps between two ends of a microtask, where the device sends what it has. */
const TURN = 16;

async function run(seed: number, counts: Record<string, number>): Promise<void> {
  using world = new World(seeded(seed));
  for (let step = 0; step < STEPS; step++) {
    world.step();
    if (step % TURN === 0) await Promise.resolve();
  }
  world.check();
  await world.serves();
  for (const [what, count] of Object.entries(world.counts)) {
    counts[what] = (counts[what] ?? 0) + count;
  }
}

test("VsockDevice serves others whatever a guest and its VMM do", {
  timeout: 2_000_000,
}, async () => {
  const counts: Record<string, number> = {};
  await leavesNothing(async () => {
    for (let at = 0; at < RUNS; at++) {
      const seed = (SEED + at) >>> 0;
      try {
        await run(seed, counts);
      } catch (cause) {
        throw new Error(`VSOCKIT_SEED=${seed} VSOCKIT_RUNS=1 replays this`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  });
  if (RUNS > 1_000) console.log(counts);
  if (RUNS < DEFAULT_RUNS) return;
  for (const what of ["packets", "received", "mapped", "faults", "boots", "messages"]) {
    assert((counts[what] ?? 0) > 0, `no ${what} in ${JSON.stringify(counts)}`);
  }
});
