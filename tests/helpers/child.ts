/**
 * A script in a process of its own, on the runtime that runs this one.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { RUNTIME, type Runtime } from "./runtime.ts";

/** Node needs to be told how the names of `deno.json` resolve, which the others read themselves. */
const NODE_NAMES = fileURLToPath(new URL("../std/node.ts", import.meta.url));
/** What each runtime is told before its flags and the script. */
export const RUN_ARGS: Readonly<Record<Runtime, readonly string[]>> = {
  deno: ["run", "--no-check", "--no-prompt"],
  bun: [],
  node: ["--disable-warning=ExperimentalWarning", "--import", NODE_NAMES],
};
const EVERYTHING: readonly string[] = RUNTIME === "deno" ? ["-A"] : [];

/** The command that runs `script` under `flags` of the runtime; without them all is allowed. */
export function childCommand(script: URL, flags: readonly string[] = EVERYTHING): string[] {
  return [process.execPath, ...RUN_ARGS[RUNTIME], ...flags, fileURLToPath(script)];
}

/** What it prints where it can have 256 descriptors, and else what it says went wrong. */
export function runWithFewDescriptors(script: URL, ...args: readonly string[]): string {
  const command = ["-c", 'ulimit -n 256 && exec "$0" "$@"', ...childCommand(script), ...args];
  const { stdout, stderr } = spawnSync("sh", command, { encoding: "utf8", timeout: 50_000 });
  return stdout === "" ? stderr : stdout;
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
