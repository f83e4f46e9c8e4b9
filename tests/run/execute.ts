/**
 * Runs what was planned.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Unavailable } from "../vm/apt.ts";
import { runBounded } from "./child.ts";
import { type Output, Outputs } from "./output.ts";
import { LANES, type Plan, type Run } from "./plan.ts";
import { readReport, type TestCase } from "./report.ts";

/** What came of the runs of one name. */
export interface Outcome {
  readonly name: string;
  /** What went wrong beside them is one more of them. */
  readonly tests: readonly TestCase[];
  /** The sum over all, some of which ran side by side. */
  readonly seconds: number;
}

/** How many guests run at once: each keeps a processor busy, and has 2 GiB of memory. */
const GUESTS = 4;

/** How a process ends whose tests have failed: it is no failure of its own. */
const FAILED = "ended with exit code 1";

/** Runs all, several at once: those that boot no guest first. Outcomes are in the plan's order. */
export async function executeAll({ bootless, booting }: Plan): Promise<readonly Outcome[]> {
  const reports = mkdtempSync(join(tmpdir(), "vsockit-test-"));
  // Where Node keeps what it has compiled: its thousands of processes share most of their modules.
  const env = { NODE_COMPILE_CACHE: join(reports, "node") };
  const outputs = new Outputs();
  const remove = (): void => rmSync(reports, { recursive: true, force: true });
  process.on("exit", () => { // which may be by a signal
    outputs.showAll();
    remove();
  });
  const runs = [...bootless, ...booting];
  const lanes = Math.min(LANES, runs.length);
  const outcomes = new Map<Run, Outcome>();
  const take = async (queue: Iterable<Run>): Promise<void> => {
    for (const run of queue) {
      const report = join(mkdtempSync(join(reports, "run-")), "report.xml");
      const output = outputs.begin();
      outcomes.set(run, await execute(run, { report, output, env, alone: lanes === 1 }));
      output.end();
    }
  };
  const [first, second] = [bootless.values(), booting.values()];
  const lane = async (_: unknown, index: number): Promise<void> => {
    await take(first);
    if (index < GUESTS) await take(second);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  remove();
  return merged(runs.map((run) => outcomes.get(run)!));
}

/** What a run is given. */
interface Given {
  readonly report: string;
  readonly output: Output;
  readonly env: Readonly<Record<string, string>>;
  /** Whether it has our own output. */
  readonly alone: boolean;
}

/** What cannot run is one test, skipped or failed. */
async function execute(run: Run, { report, output, env, alone }: Given): Promise<Outcome> {
  const { name } = run;
  const title = run.file === undefined ? name : `${name}, ${run.file}`;
  output.write(`\n=== ${title}\n`);
  if ("obstacle" in run) {
    const end = run.obstacle instanceof Unavailable ? "skipped" : "failed";
    const { message } = run.obstacle;
    output.write(`${end}: ${message}\n`);
    return { name, tests: [{ name: message, file: "", end }], seconds: 0 };
  }
  const start = performance.now();
  const ended = await runBounded(run.command(report), env, alone ? undefined : output);
  const seconds = (performance.now() - start) / 1000;
  const tests = readReport(report);
  const fault = ended || (tests.length === 0 ? "ran no tests" : "");
  if (fault !== "") output.write(`${title}: ${fault}\n`);
  const told = fault === FAILED && tests.some(({ end }) => end === "failed");
  if (fault === "" || told) return { name, tests, seconds };
  const more = { name: `${title}: ${fault}`, file: "", end: "failed" } as const;
  return { name, tests: [...tests, more], seconds };
}

/** One outcome for each name. */
function merged(all: readonly Outcome[]): readonly Outcome[] {
  const byName = Map.groupBy(all, ({ name }) => name);
  return Array.from(byName, ([name, outcomes]) => ({
    name,
    tests: outcomes.flatMap(({ tests }) => tests),
    seconds: outcomes.reduce((total, { seconds }) => total + seconds, 0),
  }));
}
