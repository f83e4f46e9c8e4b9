#!/usr/bin/env node
/**
 * The executable: `main()` on this process.
 *
 * @module
 */
import process from "node:process";
import { isTooOld, NEEDED, runtimeHere } from "../../ffi/versions.ts";

// All else is loaded after this: what an older runtime may not even parse.
const runtime = runtimeHere();
if (runtime !== undefined && isTooOld(runtime)) {
  const here = `${runtime.name} ${runtime.version}`;
  process.stderr.write(`vsockit: must run on ${NEEDED}: current value is ${here}\n`);
  process.exit(1);
}
const { run } = await import("./program.ts");
process.exit(await run(process.argv.slice(2)));
