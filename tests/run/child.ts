/**
 * Processes that end with all that they start: with a bound on their time, and on their output
 * where several run at once.
 *
 * @module
 */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import process from "node:process";
import { ROOT } from "../house/toolchain.ts";
import type { Output } from "./output.ts";

const LIMIT_MINUTES = 30;

const running: Set<ChildProcess> = new Set();

/**
 * Starts `command` as a process group of its own: what is left of that ends with it, and all of it
 * by `endOnSignals()`. It has our environment, and `more`.
 */
export function startGroup(
  [file = "", ...args]: readonly string[],
  stdio: StdioOptions,
  more: Readonly<Record<string, string>> = {},
): ChildProcess {
  const env = { ...process.env, ...more, VSOCKIT_DENO: process.execPath }; // for what boots a guest
  const child = spawn(file, args, { cwd: ROOT, env, stdio, detached: true });
  running.add(child);
  child.on("error", () => running.delete(child));
  child.on("exit", () => {
    running.delete(child);
    kill(child, "SIGKILL"); // what is left behind has our pipe open
  });
  return child;
}

/**
 * Runs `command` to its end, or to that of its time; says how it failed, or nothing. Its output
 * goes to `output`, or to ours.
 */
export function runBounded(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  output?: Output,
): Promise<string> {
  const mode = output === undefined ? "inherit" : "pipe";
  const child = startGroup(command, ["ignore", mode, mode], env);
  child.stdout?.on("data", (data) => output?.write(data));
  child.stderr?.on("data", (data) => output?.write(data, process.stderr));
  let late = "";
  const timer = setTimeout(() => {
    late = `not done in ${LIMIT_MINUTES} minutes`;
    kill(child, "SIGKILL");
  }, LIMIT_MINUTES * 60_000);
  return new Promise((resolve) => {
    const end = (fault: string): void => {
      clearTimeout(timer);
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

/** Ends `child`, and all of its group that still run. */
function kill({ pid }: ChildProcess, signal: "SIGKILL" | "SIGTERM"): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
