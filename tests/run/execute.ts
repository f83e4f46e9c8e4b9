/**
 * Runs what was planned, and counts.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Unavailable } from "../vm/apt.ts";
import { runBounded } from "./child.ts";
import type { Plan, Run } from "./plan.ts";

/** How many tests of a run ended how, and the JUnit XML that says so. */
export interface Outcome {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  readonly report: string;
}

/** How many guests run at once: each keeps a processor busy, and has 2 GiB of memory. */
const GUESTS: number = Math.min(availableParallelism(), 4);

/**
 * Runs what boots no guest, one after the other, and then the rest, several at once. The reports
 * are gone with this process.
 */
export async function executeAll({ bootless, booting }: Plan): Promise<Outcome[]> {
  const reports = mkdtempSync(join(tmpdir(), "vsockit-test-"));
  process.on("exit", () => rmSync(reports, { recursive: true }));
  const outcomes: Outcome[] = [];
  const lanes = Math.min(GUESTS, booting.length);
  const take = async (queue: Iterable<Run>, labelled: boolean): Promise<void> => {
    for (const run of queue) {
      const report = join(mkdtempSync(join(reports, "run-")), "report.xml");
      outcomes.push(await execute(run, report, labelled));
    }
  };
  await take(bootless, false);
  const queue = booting.values();
  await Promise.all(Array.from({ length: lanes }, () => take(queue, lanes > 1)));
  return outcomes;
}

/** What cannot run is one test, skipped or failed. */
async function execute(run: Run, report: string, labelled: boolean): Promise<Outcome> {
  const { name } = run;
  console.log(`\n=== ${name}`);
  if ("obstacle" in run) {
    const skipped = run.obstacle instanceof Unavailable ? 1 : 0;
    console.log(`${skipped ? "skipped" : "failed"}: ${run.obstacle.message}`);
    return { name, passed: 0, failed: 1 - skipped, skipped, seconds: 0, report };
  }
  const start = performance.now();
  const ended = await runBounded(run.command(report), labelled ? name : undefined);
  const seconds = (performance.now() - start) / 1000;
  const { tests, failed, skipped } = readReport(report);
  const passed = tests - failed - skipped;
  const fault = ended || (tests === 0 ? "ran no tests" : "");
  if (fault === "") return { name, passed, failed, skipped, seconds, report };
  console.log(`${name}: ${fault}`);
  return { name, passed, failed: Math.max(failed, 1), skipped, seconds, report };
}

/** Counts the tests of a report; those of a process that left none are none. */
function readReport(path: string): { tests: number; failed: number; skipped: number } {
  let xml = "";
  try {
    xml = readFileSync(path, "utf8");
  } catch (error) {
    console.log(`no report: ${error}`);
  }
  const count = (element: RegExp): number => xml.match(element)?.length ?? 0;
  return {
    tests: count(/<testcase\b/g),
    failed: count(/<(failure|error)\b/g),
    skipped: count(/<skipped\b/g),
  };
}
