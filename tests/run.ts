/**
 * `deno task test`: the one suite on every runtime, then what is tested once, then the guests.
 *
 * Ends with a table, with what has failed, and with `N passed, N failed` over all of it.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { endOnSignals } from "./house/group.ts";
import { readArgs } from "./house/usage.ts";
import { choose, USAGE } from "./run/choice.ts";
import { executeAll, type Outcome } from "./run/execute.ts";
import { plan } from "./run/plan.ts";
import type { TestCase } from "./run/report.ts";
import { Support } from "./run/support.ts";

/** How many tests ended how. */
function count(tests: readonly TestCase[]): Record<TestCase["end"], number> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { end } of tests) counts[end]++;
  return counts;
}

function printTable(outcomes: readonly Outcome[]): void {
  const row = (name: string, ...cells: readonly (string | number)[]): void =>
    console.log(name.padEnd(20) + cells.map((cell) => String(cell).padStart(9)).join(""));
  console.log();
  row("", "passed", "failed", "skipped", "seconds");
  for (const { name, tests, seconds } of outcomes) {
    const { passed, failed, skipped } = count(tests);
    row(name, passed, failed, skipped, seconds.toFixed(1));
  }
}

/** Names what has failed, far below where it says why. */
function printFailures(outcomes: readonly Outcome[]): void {
  for (const { name: run, tests } of outcomes) {
    for (const { name, file, end } of tests) {
      if (end === "failed") console.log(`failed: ${[run, file, name].filter(Boolean).join(": ")}`);
    }
  }
}

async function main(): Promise<void> {
  endOnSignals();
  const choice = readArgs(USAGE, choose);
  const outcomes = await executeAll(await plan(choice));
  printTable(outcomes);
  console.log();
  printFailures(outcomes);
  const { passed, failed, skipped } = count(outcomes.flatMap(({ tests }) => tests));
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
  if (choice.support === undefined) return;
  const support = new Support();
  for (const { name, tests } of outcomes) support.add(name, tests);
  writeFileSync(choice.support, support.table()); // last: it may fail
}

await main();
