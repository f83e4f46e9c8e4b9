/**
 * Processes that end with all that they start.
 *
 * @module
 */
import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";
import process from "node:process";
import { ROOT } from "./toolchain.ts";

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

/** Has SIGINT and SIGTERM end what runs, and this process. */
export function endOnSignals(): void {
  const end = (): void => {
    for (const child of running) kill(child, "SIGTERM");
    process.exit(130);
  };
  process.on("SIGINT", end).on("SIGTERM", end);
}

/** Ends `child`, and all of its group that still run. */
export function kill({ pid }: ChildProcess, signal: "SIGKILL" | "SIGTERM"): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
