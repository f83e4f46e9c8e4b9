/**
 * Runs a process that tests, and counts.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { ROOT } from "../house/toolchain.ts";
import { Unavailable } from "../vm/apt.ts";
import type { Run } from "./plan.ts";

/** How many tests of a run ended how. */
export interface Outcome {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
}

const LIMIT_MINUTES = 25;

/** Runs it to its end, or to that of its time; what cannot run is one test, skipped or failed. */
export async function execute(run: Run, report: string): Promise<Outcome> {
  const { name } = run;
  console.log(`\n=== ${name}`);
  if ("obstacle" in run) {
    const skipped = run.obstacle instanceof Unavailable ? 1 : 0;
    console.log(`${skipped ? "skipped" : "failed"}: ${run.obstacle.message}`);
    return { name, passed: 0, failed: 1 - skipped, skipped, seconds: 0 };
  }
  const start = performance.now();
  const ended = await spawnBounded(run.command(report));
  const seconds = (performance.now() - start) / 1000;
  const { tests, failed, skipped } = readReport(report);
  const passed = tests - failed - skipped;
  const fault = ended || (tests === 0 ? "ran no tests" : "");
  if (fault === "") return { name, passed, failed, skipped, seconds };
  console.log(`${name}: ${fault}`);
  return { name, passed, failed: Math.max(failed, 1), skipped, seconds };
}

/** Runs `command`, its output on ours; says how it failed, or nothing. */
function spawnBounded([file = "", ...args]: readonly string[]): Promise<string> {
  // A process group of its own, so that what the tests start ends with them.
  const env = { ...process.env, VSOCKIT_DENO: process.execPath }; // for what boots a guest
  const child = spawn(file, args, { cwd: ROOT, env, stdio: "inherit", detached: true });
  let late = "";
  const kill = (signal: "SIGKILL" | "SIGTERM"): void => {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  };
  const timer = setTimeout(() => {
    late = `not done in ${LIMIT_MINUTES} minutes`;
    kill("SIGKILL");
  }, LIMIT_MINUTES * 60_000);
  const interrupt = (): void => {
    kill("SIGTERM");
    process.exit(130);
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  return new Promise((resolve) => {
    const end = (fault: string): void => {
      clearTimeout(timer);
      process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
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
