#!/usr/bin/env node
/**
 * The executable: `main()` on this process.
 *
 * @module
 */
import process from "node:process";

const NODE_NEEDED = 26;

// All else is loaded after this: what an older Node cannot even parse.
const { node = "", deno, bun } = process.versions as Readonly<Record<string, string>>;
if (deno === undefined && bun === undefined && Number.parseInt(node) < NODE_NEEDED) {
  process.stderr.write(
    `vsockit: must run on Node ${NODE_NEEDED} or later, Deno or Bun: current value is Node ${node}\n`,
  );
  process.exit(1);
}
const { run } = await import("./program.ts");
process.exit(await run(process.argv.slice(2)));
