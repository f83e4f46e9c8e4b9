/**
 * `deno task compile [FILE]`: the command as one executable, with no runtime beside it.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { run } from "./command.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";
import { readArgs } from "./usage.ts";

const USAGE = `usage: deno task compile [FILE]
  FILE  where the executable goes (dist/vsockit)`;

/**
 * Builds it at `outfile`. It has the Worker of `vsockit perf` within: the root puts that beside the
 * program, which is where its URL says it is.
 */
export function compile(outfile: string): void {
  const { bun } = installRuntimes();
  const entries = ["--root", "src/cli/perf", "src/cli/main.ts", "src/cli/perf/worker.ts"];
  run(ROOT, [bun, "build", "--compile", ...entries, "--outfile", outfile]);
}

function readOutfile(args: readonly string[]): string {
  const [file = join(ROOT, "dist", "vsockit"), more] = args;
  if (more === undefined && !file.startsWith("-")) return resolve(file);
  throw new TypeError(`Cannot compile: must be to one FILE: current value is ${args.join(" ")}`);
}

if (import.meta.main) {
  const outfile = readArgs(USAGE, readOutfile);
  compile(outfile);
  console.log(outfile);
}
