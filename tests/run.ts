/**
 * `deno task test`: the one suite on every runtime, then what is tested once.
 *
 *     deno task test [--runtime deno|bun|node]... [FILE]...
 *
 * Ends with a table, and with `N passed, N failed` over all of it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "@std/cli/parse-args";
import { installRuntimes, ROOT } from "./house/toolchain.ts";

/** One process that runs tests and leaves a report: the JUnit XML that all runtimes can write. */
interface Run {
  readonly name: string;
  readonly command: (report: string) => readonly string[];
}

interface Outcome {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
}

const RUNTIMES: readonly string[] = ["deno", "bun", "node"];
const DOCUMENTED: readonly string[] = ["README.md", "mod.ts", "ffi", "src"];
const LIMIT_MINUTES = 15;

/** What to run, in order. What holds for all runtimes at once is tested on Deno alone. */
function plan(args: readonly string[]): Run[] {
  const given = parseArgs(args.filter((arg) => arg !== "--"), {
    string: ["runtime", "_"],
    collect: ["runtime"],
    unknown: refuseOption,
  });
  const chosen = given.runtime.length === 0 ? RUNTIMES : given.runtime;
  const stranger = chosen.find((name) => !RUNTIMES.includes(name));
  if (stranger !== undefined) {
    const known = RUNTIMES.join(", ");
    throw new RangeError(
      `Cannot test on it: must be one of ${known}: current value is ${stranger}`,
    );
  }
  const everything = given._.length === 0;
  const files = everything
    ? globSync("tests/**/*_test.ts", { cwd: ROOT }).sort()
    : given._.map((file) => relative(ROOT, resolve(file)));
  const house = files.filter((file) => file.startsWith("tests/house/"));
  const suite = files.filter((file) => !house.includes(file)).map((file) => `./${file}`);
  const runs = suite.length === 0 ? [] : suiteRuns(suite, chosen);
  if (chosen.includes("deno")) {
    if (house.length > 0) runs.push(denoRun("house (deno)", "--no-check", ...house));
    if (everything) runs.push(denoRun("docs (deno)", "--doc", ...DOCUMENTED));
  }
  return runs;
}

function refuseOption(arg: string, key?: string): void {
  if (key !== undefined) throw new TypeError(`Cannot run the tests: ${arg} is no option`);
}

/** The suite on each of the `chosen` runtimes. */
function suiteRuns(files: readonly string[], chosen: readonly string[]): Run[] {
  const { bun, node } = installRuntimes();
  const runs = [
    denoRun("deno", "--no-check", ...files),
    {
      name: "bun",
      command: (report: string) => [
        ...[bun, "test", "--timeout=60000"],
        ...["--reporter=junit", `--reporter-outfile=${report}`],
        ...files,
      ],
    },
    {
      name: "node",
      command: (report: string) => [
        ...[node, "--import", "./tests/std/node.ts", "--test"],
        ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
        ...["--test-reporter=junit", `--test-reporter-destination=${report}`],
        ...files,
      ],
    },
  ];
  return runs.filter(({ name }) => chosen.includes(name));
}

function denoRun(name: string, ...args: readonly string[]): Run {
  const command = (report: string): readonly string[] => [
    ...[process.execPath, "test", "-A", `--junit-path=${report}`],
    ...args,
  ];
  return { name, command };
}

/** Runs it to its end, or to that of its time, and counts. */
async function execute({ name, command }: Run, report: string): Promise<Outcome> {
  console.log(`\n=== ${name}`);
  const start = performance.now();
  const ended = await spawnBounded(command(report));
  const seconds = (performance.now() - start) / 1000;
  const { tests, failed, skipped } = readReport(report);
  const passed = tests - failed - skipped;
  if (ended === "") return { name, passed, failed, skipped, seconds };
  console.log(`${name}: ${ended}`);
  return { name, passed, failed: Math.max(failed, 1), skipped, seconds };
}

/** Runs `command`, its output on ours; says how it failed, or nothing. */
function spawnBounded([file = "", ...args]: readonly string[]): Promise<string> {
  // A process group of its own, so that what the tests start ends with them.
  const child = spawn(file, args, { cwd: ROOT, stdio: "inherit", detached: true });
  let late = "";
  const kill = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  };
  const timer = setTimeout(() => {
    late = `not done in ${LIMIT_MINUTES} minutes`;
    kill();
  }, LIMIT_MINUTES * 60_000);
  const interrupt = (): void => {
    kill();
    process.exit(130);
  };
  process.on("SIGINT", interrupt);
  return new Promise((resolve) => {
    const end = (fault: string): void => {
      clearTimeout(timer);
      process.off("SIGINT", interrupt);
      resolve(fault);
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => {
      end(late || (code === 0 ? "" : `ended with ${signal ?? `exit code ${code}`}`));
    });
  });
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

function printTable(outcomes: readonly Outcome[]): void {
  const row = (name: string, ...cells: readonly (string | number)[]): void =>
    console.log(name.padEnd(14) + cells.map((cell) => String(cell).padStart(9)).join(""));
  console.log();
  row("", "passed", "failed", "skipped", "seconds");
  for (const { name, passed, failed, skipped, seconds } of outcomes) {
    row(name, passed, failed, skipped, seconds.toFixed(1));
  }
}

async function main(): Promise<void> {
  const reports = mkdtempSync(join(tmpdir(), "vsockit-test-"));
  const outcomes: Outcome[] = [];
  for (const run of plan(process.argv.slice(2))) {
    outcomes.push(await execute(run, join(reports, `${outcomes.length}.xml`)));
  }
  rmSync(reports, { recursive: true });
  const sum = (key: "passed" | "failed" | "skipped"): number =>
    outcomes.reduce((total, outcome) => total + outcome[key], 0);
  const skipped = sum("skipped") > 0 ? `, ${sum("skipped")} skipped` : "";
  printTable(outcomes);
  console.log(`\n${sum("passed")} passed, ${sum("failed")} failed${skipped}`);
  process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
}

await main();
