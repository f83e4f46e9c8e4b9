/**
 * Commands for the house tests.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { delimiter } from "node:path";
import process from "node:process";
import type { Runtimes } from "./toolchain.ts";

/** What a command printed. */
export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; throws with all that it printed where it fails. */
export function run(
  cwd: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Printed {
  const [file = "", ...args] = command;
  const { status, signal, error, stdout, stderr } = spawnSync(file, args, {
    cwd,
    env: { ...process.env, NO_COLOR: "1", ...env },
    encoding: "utf8",
    timeout: 300_000,
  });
  if (status === 0) return { stdout, stderr };
  const end = error?.message ?? `ended with ${signal ?? status}`;
  throw new Error(`${command.join(" ")} ${end}\n${stdout}${stderr}`);
}

/** Starts a command: what it prints until its end. Rejects with all that it printed if it fails. */
export function runSoon(cwd: string, [file = "", ...args]: readonly string[]): Promise<string> {
  const child = spawn(file, args, { cwd, env: { ...process.env, NO_COLOR: "1" } });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      if (status === 0) resolve(stdout);
      else reject(new Error(`${file} ended with ${signal ?? status}\n${stdout}${stderr}`));
    });
  });
}

/** The environment of a machine that has Node 26, npm and npx. */
export function nodeEnv({ bin }: Runtimes): Record<string, string> {
  return { PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };
}
