/**
 * A script that tests run in a process of its own, on the runtime that runs them.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { RUNTIME } from "./runtime.ts";

const EVERYTHING: readonly string[] = RUNTIME === "deno" ? ["-A"] : [];

/** The command that runs `script` under `flags` of the runtime, which allow everything if none. */
export function childCommand(script: URL, flags: readonly string[] = EVERYTHING): string[] {
  const run = RUNTIME === "deno" ? ["run", "--no-check", "--no-prompt"] : [];
  return [process.execPath, ...run, ...flags, fileURLToPath(script)];
}

/** Starts it. */
export function startChild(script: URL, args: readonly string[]): ChildProcess {
  const [file = "", ...command] = childCommand(script);
  return spawn(file, [...command, ...args], { stdio: ["ignore", "ignore", "inherit"] });
}

/** What it prints; rejects where it ends by a signal or with another code than 0. */
export function runChild(
  script: URL,
  args: readonly string[] = [],
  flags: readonly string[] = EVERYTHING,
): Promise<string> {
  const [file = "", ...command] = childCommand(script, flags);
  return new Promise((resolve, reject) => {
    execFile(file, [...command, ...args], (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
  });
}
