/**
 * Our short programs in C, that a measurement is held against.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const built: Map<string, string> = new Map();

/** The path of `bench/c/NAME.c` as a program; it is built once a process, and gone with that. */
export function cProgram(name: string): string {
  const known = built.get(name);
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), "vsockit-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  const program = join(folder, name);
  const source = fileURLToPath(new URL(`./c/${name}.c`, import.meta.url));
  execFileSync("cc", ["-O2", "-pthread", "-o", program, source]);
  built.set(name, program);
  return program;
}
