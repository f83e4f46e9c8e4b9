/**
 * Random loans and releases of mapped memory, in a process of its own, so that a signal is a failed
 * test. `VSOCKIT_SEED` replays a run, `VSOCKIT_STEPS` makes it longer.
 */
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assert } from "@std/assert";

const CHILD = fileURLToPath(new URL("./memory_fuzz_child.ts", import.meta.url));
const RUN = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check"];
const SEED = process.env["VSOCKIT_SEED"] ?? String(Math.floor(Math.random() * 2 ** 32));
const STEPS = process.env["VSOCKIT_STEPS"] ?? "1000000";
const MOST_GROWTH = 32 * 2 ** 20;

/** What the child prints; rejects where it ends by a signal or an error. */
function runChild(kind: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const args = [...RUN, CHILD, kind, SEED, STEPS];
    execFile(process.execPath, args, (error, stdout) => {
      if (error === null) resolve(Number(stdout));
      else reject(error);
    });
  });
}

for (const kind of ["anonymous", "memfd"]) {
  const name = `MappedRegion survives ${STEPS} random steps on ${kind} memory without growing`;
  test(name, { timeout: 300_000 }, async () => {
    console.log(`replay: VSOCKIT_SEED=${SEED} VSOCKIT_STEPS=${STEPS}`);
    const growth = await runChild(kind);
    assert(growth < MOST_GROWTH, `${growth} bytes more are resident at the end`);
  });
}
