/**
 * What the command line of `deno task test` chooses.
 *
 * @module
 */
import { globSync } from "node:fs";
import { relative, resolve } from "node:path";
import { parseArgs } from "@std/cli/parse-args";
import { type Runtime, RUNTIMES } from "../helpers/runtime.ts";
import { ROOT } from "../house/toolchain.ts";
import { type Flavour, FLAVOURS, parseFlavour } from "../vm/options.ts";

/** Where to run what. */
export interface Choice {
  readonly runtimes: readonly Runtime[];
  /** Kernels for what runs in a guest. */
  readonly flavours: readonly Flavour[];
  /** Test files, from the top of the project. */
  readonly files: readonly string[];
  /** Where the table of what runs where goes. */
  readonly support?: string;
  /** No file was named, so that all are meant and the doc examples too. */
  readonly everything: boolean;
}

/** How to call it. */
export const USAGE = `usage: deno task test [OPTION]... [FILE]...
  --runtime deno|bun|node  where to run it; may be repeated (all three)
  --flavour stock|lab      the kernel of what runs in a guest; may be repeated (both)
  --support FILE           where a table of what runs where goes
  FILE                     a test file; may be repeated (all there are, and the doc examples)`;

/** Reads the arguments. Throws RangeError and TypeError. */
export function choose(args: readonly string[]): Choice {
  const given = parseArgs(args, {
    string: ["runtime", "flavour", "support", "_"],
    collect: ["runtime", "flavour"],
    unknown: refuseOption,
  });
  if (given.support === "") throw new TypeError("Cannot test: --support must have a FILE");
  const everything = given._.length === 0;
  const files = everything
    ? globSync("tests/**/*_test.ts", { cwd: ROOT }).sort()
    : Array.from(new Set(given._.map((file) => relative(ROOT, resolve(file)))));
  requireFiles(files);
  return {
    runtimes: given.runtime.length === 0 ? RUNTIMES : given.runtime.map(parseRuntime),
    flavours: given.flavour.length === 0 ? FLAVOURS : given.flavour.map(parseFlavour),
    files,
    ...(given.support !== undefined && { support: given.support }),
    everything,
  };
}

function parseRuntime(name: string): Runtime {
  const runtime = RUNTIMES.find((known) => known === name);
  if (runtime !== undefined) return runtime;
  const known = RUNTIMES.join(", ");
  throw new RangeError(`Cannot test: runtime must be ${known}: current value is ${name}`);
}

/** A folder would be taken for a file of the suite, and run here, even one that is for a guest. */
function requireFiles(files: readonly string[]): void {
  const stranger = files.find((file) => !file.endsWith("_test.ts"));
  if (stranger === undefined) return;
  throw new RangeError(`Cannot test: FILE must end in _test.ts: current value is ${stranger}`);
}

function refuseOption(arg: string, key?: string): void {
  if (key !== undefined) throw new TypeError(`Cannot test: ${arg} is no option`);
}
