/** Runs a script of this directory in a process of its own, on the runtime that runs this one. */
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

const RUN = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check"];

/** The command that runs it. */
export function childCommand(script: string): string[] {
  return [process.execPath, ...RUN, fileURLToPath(new URL(script, import.meta.url))];
}

/** What it prints before it ends of its own accord. */
export function runChild(script: string, ...args: readonly string[]): Promise<string> {
  const [file = "", ...command] = childCommand(script);
  return new Promise((resolve, reject) => {
    execFile(file, [...command, ...args], (error, stdout) => {
      if (error) reject(error);
      else resolve(stdout);
    });
  });
}
