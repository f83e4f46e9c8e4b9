/**
 * The benches on the runtime that runs this: a line of JSON per row on stdout. `bench/run.ts`
 * starts it, with the names of the rows to measure.
 *
 * @module
 */
import process from "node:process";
import { measure } from "./bench.ts";
import { ALL_BENCHES } from "./benches.ts";

const names = process.argv.slice(2);

for (const bench of ALL_BENCHES) {
  for (const row of await measure(bench, (name) => names.includes(name))) {
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }
}
