/**
 * How each runtime is told to run test files and to leave a report.
 *
 * @module
 */
import process from "node:process";
import { installRuntimes } from "../house/toolchain.ts";

/** Builds a command line for the path of the report: the JUnit XML that all runtimes can write. */
export type Command = (report: string) => readonly string[];

/** Runs files on Deno, or the doc examples with `--doc`. */
export function denoTest(...args: readonly string[]): Command {
  return (report) => [process.execPath, "test", "-A", `--junit-path=${report}`, ...args];
}

/** Runs the same files on each of the runtimes. */
export function onRuntimes(
  runtimes: readonly string[],
  paths: readonly string[],
): ReadonlyMap<string, Command> {
  const { bun, node } = installRuntimes();
  const files = paths.map((path) => `./${path}`);
  const commands = new Map<string, Command>([
    ["deno", denoTest("--no-check", ...files)],
    ["bun", (report) => [
      ...[bun, "test", "--timeout=300000"],
      ...["--reporter=junit", `--reporter-outfile=${report}`],
      ...files,
    ]],
    ["node", (report) => [
      ...[node, "--import", "./tests/std/node.ts", "--test"],
      ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
      ...["--test-reporter=junit", `--test-reporter-destination=${report}`],
      ...files,
    ]],
  ]);
  return new Map(Array.from(commands).filter(([name]) => runtimes.includes(name)));
}
