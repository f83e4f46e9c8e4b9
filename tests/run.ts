/**
 * `deno task test`: the one suite on every runtime, then what is tested once, then the guests.
 *
 * Ends with a table, and with `N passed, N failed` over all of it.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import process from "node:process";
import { readArgs } from "./house/usage.ts";
import { endOnSignals } from "./run/child.ts";
import { choose, USAGE } from "./run/choice.ts";
import { executeAll, type Outcome } from "./run/execute.ts";
import { plan } from "./run/plan.ts";
import { Support } from "./run/support.ts";

function printTable(outcomes: readonly Outcome[]): void {
  const row = (name: string, ...cells: readonly (string | number)[]): void =>
    console.log(name.padEnd(20) + cells.map((cell) => String(cell).padStart(9)).join(""));
  console.log();
  row("", "passed", "failed", "skipped", "seconds");
  for (const { name, passed, failed, skipped, seconds } of outcomes) {
    row(name, passed, failed, skipped, seconds.toFixed(1));
  }
}

async function main(): Promise<void> {
  endOnSignals();
  const choice = readArgs(USAGE, choose);
  const outcomes = await executeAll(await plan(choice));
  if (choice.support !== undefined) {
    const support = new Support();
    for (const { name, report } of outcomes) support.add(name, report);
    writeFileSync(choice.support, support.table());
  }
  const sum = (key: "passed" | "failed" | "skipped"): number =>
    outcomes.reduce((total, outcome) => total + outcome[key], 0);
  const skipped = sum("skipped") > 0 ? `, ${sum("skipped")} skipped` : "";
  printTable(outcomes);
  console.log(`\n${sum("passed")} passed, ${sum("failed")} failed${skipped}`);
  process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
}

await main();
