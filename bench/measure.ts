/**
 * The benches on the runtime that runs this: a line of JSON per row on stdout. `bench/run.ts`
 * starts it, with the names of the rows to measure.
 *
 * @module
 */
import process from "node:process";
import { measure } from "./bench.ts";
import {
  BENCHES,
  DEVICE_BENCHES,
  KERNEL_BENCHES,
  MAPPING_BENCHES,
  TCP_BENCHES,
} from "./benches.ts";

const names = process.argv.slice(2);

const all = [BENCHES, TCP_BENCHES, DEVICE_BENCHES, KERNEL_BENCHES, MAPPING_BENCHES].flat();
for (const bench of all) {
  for (const row of await measure(bench, (name) => names.includes(name))) {
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }
}
