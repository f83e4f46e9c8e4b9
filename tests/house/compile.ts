/**
 * `deno task compile [FILE]`: the command as one executable, with no runtime beside it.
 *
 * @module
 */
import { resolve } from "node:path";
import process from "node:process";
import { run } from "./command.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";

/** Where it goes unless a file is named. */
const OUTFILE = "dist/vsockit";

/**
 * Builds it at `outfile`. It has the Worker of `vsockit perf` within: the root puts that beside the
 * program, which is where its URL says it is.
 */
export function compile(outfile: string): void {
  const { bun } = installRuntimes();
  const entries = ["--root", "src/cli/perf", "src/cli/main.ts", "src/cli/perf/worker.ts"];
  run(ROOT, [bun, "build", "--compile", ...entries, "--outfile", outfile]);
}

if (import.meta.main) {
  const outfile = resolve(process.argv[2] ?? `${ROOT}/${OUTFILE}`);
  compile(outfile);
  console.log(outfile);
}
