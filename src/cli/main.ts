#!/usr/bin/env node
/**
 * The executable: `main()` on this process.
 *
 * @module
 */
import process from "node:process";
import { isTooOld, NEEDED, runtimeHere, runtimeName } from "../../ffi/versions.ts";

// All else is loaded after this: what an older runtime may not even parse.
const runtime = runtimeHere();
if (runtime !== undefined && isTooOld(runtime)) {
  process.stderr.write(`vsockit: must run on ${NEEDED}: current value is ${runtimeName()}\n`);
  process.exit(1);
}
const { run } = await import("./program.ts");
process.exit(await run(process.argv.slice(2)));
