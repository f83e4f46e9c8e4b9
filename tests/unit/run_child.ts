/** Runs a script of this directory in a process of its own, on the runtime that runs this one. */
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

const RUN = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check"];

/** What it prints before it ends of its own accord. */
export function runChild(script: string, ...args: readonly string[]): Promise<string> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...RUN, path, ...args], (error, stdout) => {
      if (error) reject(error);
      else resolve(stdout);
    });
  });
}
