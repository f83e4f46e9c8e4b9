/**
 * Random loans and releases of mapped memory, in a process of its own, so that a signal is a failed
 * test. `VSOCKIT_SEED` replays a run, `VSOCKIT_STEPS` makes it longer.
 */
import process from "node:process";
import { test } from "node:test";
import { assert } from "@std/assert";
import { runChild } from "../helpers/child.ts";

const SEED = process.env["VSOCKIT_SEED"] ?? String(Math.floor(Math.random() * 2 ** 32));
const STEPS = process.env["VSOCKIT_STEPS"] ?? "1000000";
const MOST_GROWTH = 32 * 2 ** 20;

for (const kind of ["anonymous", "memfd"]) {
  const name = `MappedRegion survives ${STEPS} random steps on ${kind} memory without growing`;
  test(name, { timeout: 300_000 }, async () => {
    console.log(`replay: VSOCKIT_SEED=${SEED} VSOCKIT_STEPS=${STEPS}`);
    const growth = Number(
      await runChild(new URL("../fuzz/memory_fuzz_child.ts", import.meta.url), [kind, SEED, STEPS]),
    );
    assert(growth < MOST_GROWTH, `${growth} bytes more are resident at the end`);
  });
}
