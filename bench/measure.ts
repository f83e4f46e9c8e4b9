/**
 * The benches on the runtime that runs this: a line of JSON per row on stdout as soon as it is
 * measured. One that fails says why on stderr, and those after it are measured all the same.
 * `bench/run.ts` starts it, with the names of the rows to measure.
 *
 * @module
 */
import process from "node:process";
import { measure } from "./bench.ts";
import { ALL_BENCHES } from "./benches.ts";

const names = process.argv.slice(2);

for (const bench of ALL_BENCHES) {
  try {
    for (const row of await measure(bench, (name) => names.includes(name))) {
      process.stdout.write(`${JSON.stringify(row)}\n`);
    }
  } catch (error) {
    const wanted = bench.rows.map(({ name }) => name).filter((name) => names.includes(name));
    console.error(`Cannot measure ${wanted.join(", ")}:`, error);
    process.exitCode = 1;
  }
}
