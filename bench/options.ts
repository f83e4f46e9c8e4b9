/**
 * The command line of `deno task bench`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Runtime, RUNTIMES } from "../tests/helpers/runtime.ts";

/**
 * What to measure on: the kernel's AF_VSOCK, TCP, guests that have our device, or whatever any
 * machine has.
 */
export type What = "any" | "kernel" | "tcp" | "device";

/** What was asked for. */
export interface Options {
  readonly runtimes: readonly Runtime[];
  /** Names of rows. */
  readonly only: readonly string[];
  readonly what: What;
  /** Where the JSON goes. */
  readonly json?: string | undefined;
}

/** How to call it. */
export const USAGE = `usage: deno task bench [OPTION]...
       deno task bench:tcp [OPTION]...
       deno task bench:device [OPTION]...
       deno task vm -- deno task bench:kernel [OPTION]...
  --runtime deno|bun|node  what to measure on; may be repeated (all three)
  --only ROW               a row of the table; may be repeated (all there are)
  --json FILE              where the rows go too, with what is known of the machine`;

/**
 * Reads the command line: `--runtime` and `--only` may be given several times.
 *
 * @param namesOf The rows that there are, with `--kernel`, `--tcp`, `--device` or without.
 * @throws {TypeError} If there is no such option.
 * @throws {RangeError} If there is no such runtime or row.
 */
export function parseOptions(
  args: readonly string[],
  namesOf: (what: What) => readonly string[],
): Options {
  const given = parseArgs(args, {
    string: ["runtime", "only", "json"],
    boolean: ["kernel", "tcp", "device"],
    collect: ["runtime", "only"],
    unknown: refuse,
  });
  const what = (["kernel", "tcp", "device"] as const).find((what) => given[what]) ?? "any";
  return {
    runtimes: chosen("--runtime", given.runtime, RUNTIMES),
    only: chosen("--only", given.only, namesOf(what)),
    what,
    json: given.json,
  };
}

function refuse(arg: string): never {
  throw new TypeError(`Cannot run the benches: ${arg} is no option`);
}

/** Those of `all` that were given, in the order of `all`; all of them where none was. */
function chosen<T extends string>(
  option: string,
  given: readonly string[],
  all: readonly T[],
): readonly T[] {
  if (given.length === 0) return all;
  const stranger = given.find((name) => !all.some((known) => known === name));
  if (stranger === undefined) return all.filter((name) => given.includes(name));
  throw new RangeError(
    `Cannot use ${option}: must be one of ${all.join(", ")}: current value is ${stranger}`,
  );
}
