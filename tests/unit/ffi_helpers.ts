/** What the tests of `ffi/` share. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertEquals, assertThrows } from "@std/assert";
import { type Code, SysError } from "../../ffi/errno.ts";

/** A number that no open file has. */
export const CLOSED = 1_000_000;

/** The runtime at hand: `"deno"`, `"bun"` or `"node"`. */
export const RUNTIME: string =
  ["deno", "bun", "node"].find((name) => process.versions[name] !== undefined) ?? "none";

/** Asserts that `call` throws a `SysError` of that call of libc with that code. */
export function assertSysError(op: string, code: Code, call: () => unknown): void {
  const error = assertThrows(call, SysError);
  assertEquals([error.op, error.code], [op, code]);
}

/** Starts `file`, a name beside this one, on the same runtime with every permission. */
export function startChild(file: string, args: readonly string[]): ChildProcess {
  const run = RUNTIME === "deno" ? ["run", "--no-check", "-A"] : [];
  const path = fileURLToPath(new URL(file, import.meta.url));
  const flags = RUNTIME === "node" ? ["--no-warnings", "--experimental-ffi"] : [];
  return spawn(process.execPath, [...run, ...flags, path, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/**
 * Runs `file`, a name beside this one, in a process of the same runtime under its `flags`. Gives
 * what it prints; rejects where it ends by a signal or with another code than 0.
 */
export function runChild(
  file: string,
  args: readonly string[] = [],
  flags: readonly string[] = RUNTIME === "deno" ? ["-A"] : [],
): Promise<string> {
  const run = RUNTIME === "deno" ? ["run", "--no-check", "--no-prompt"] : [];
  const path = fileURLToPath(new URL(file, import.meta.url));
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...run, ...flags, path, ...args], (error, stdout) => {
      if (error === null) resolve(stdout.trim());
      else reject(error);
    });
  });
}
