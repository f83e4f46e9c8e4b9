/**
 * One process with a bound on its time, and on its output where several run at once.
 *
 * @module
 */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { ROOT } from "../house/toolchain.ts";

const LIMIT_MINUTES = 30;

const running: Set<ChildProcess> = new Set();

/**
 * Runs `command` to its end, or to that of its time; says how it failed, or nothing. Its output
 * goes to ours: as it comes, or with `label`, by whole lines that begin with it.
 */
export function runBounded(
  [file = "", ...args]: readonly string[],
  label?: string,
): Promise<string> {
  // A process group of its own, so that what the tests start ends with them.
  const env = { ...process.env, VSOCKIT_DENO: process.execPath }; // for what boots a guest
  const output = label === undefined ? "inherit" : "pipe";
  const stdio: StdioOptions = ["ignore", output, output];
  const child: ChildProcess = spawn(file, args, { cwd: ROOT, env, stdio, detached: true });
  if (label !== undefined) forwardLines(child, label);
  running.add(child);
  let late = "";
  const timer = setTimeout(() => {
    late = `not done in ${LIMIT_MINUTES} minutes`;
    kill(child, "SIGKILL");
  }, LIMIT_MINUTES * 60_000);
  return new Promise((resolve) => {
    const end = (fault: string): void => {
      clearTimeout(timer);
      running.delete(child);
      resolve(fault);
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => {
      end(late || (code === 0 ? "" : `ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

/** Has SIGINT and SIGTERM end what runs, and this process. */
export function endOnSignals(): void {
  const end = (): void => {
    for (const child of running) kill(child, "SIGTERM");
    process.exit(130);
  };
  process.on("SIGINT", end).on("SIGTERM", end);
}

function kill({ pid }: ChildProcess, signal: "SIGKILL" | "SIGTERM"): void {
  if (pid !== undefined) process.kill(-pid, signal);
}

function forwardLines({ stdout, stderr }: ChildProcess, label: string): void {
  const forward = (from: Readable | null, to: Writable): void => {
    if (from === null) return;
    createInterface({ input: from }).on("line", (line) => to.write(`${label} | ${line}\n`));
  };
  forward(stdout, process.stdout);
  forward(stderr, process.stderr);
}
