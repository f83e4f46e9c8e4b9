/**
 * How each runtime is told to run test files and to leave a report.
 *
 * @module
 */
import process from "node:process";
import type { Runtime } from "../helpers/runtime.ts";
import { installRuntimes } from "../house/toolchain.ts";

/** Builds a command line for the path of the report: the JUnit XML that all runtimes can write. */
export type Command = (report: string) => readonly string[];

/** Builds the command that runs test files, named from the top of the project. */
export type FilesCommand = (files: readonly string[]) => Command;

/** Runs files on Deno, or the doc examples with `--doc`. */
export function denoTest(...args: readonly string[]): Command {
  return (report) => [process.execPath, "test", "-A", `--junit-path=${report}`, ...args];
}

/** Imports the files that are its arguments. */
const TOGETHER = "./tests/run/together.ts";

/** Runs test files on Deno. */
export const onDeno: FilesCommand = (files) => denoTest("--no-check", TOGETHER, "--", ...files);

/** What runs files in one process on each of the runtimes, by their names. */
export function onRuntimes(runtimes: readonly Runtime[]): ReadonlyMap<Runtime, FilesCommand> {
  const { bun, node } = installRuntimes();
  const commands: readonly (readonly [Runtime, FilesCommand])[] = [
    ["deno", onDeno],
    ["bun", (files) => (report) => [
      ...[bun, "test", "--timeout=300000"],
      ...["--reporter=junit", `--reporter-outfile=${report}`],
      ...files.map(inFolder),
    ]],
    ["node", (files) => (report) => [
      ...[node, "--import", "./tests/std/node.ts", "--test-timeout=300000"],
      ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
      ...["--test-reporter=junit", `--test-reporter-destination=${report}`],
      ...[TOGETHER, ...files],
    ]],
  ];
  return new Map(commands.filter(([name]) => runtimes.includes(name)));
}

/** Bun takes a name without a dot for a pattern. */
function inFolder(file: string): string {
  return `./${file}`;
}
