/** Where tests run. */
import process from "node:process";

/** The runtimes that all is tested on. */
export const RUNTIMES = ["deno", "bun", "node"] as const;

/** One of {@linkcode RUNTIMES}. */
export type Runtime = typeof RUNTIMES[number];

/** The runtime at hand. */
export const RUNTIME: Runtime = RUNTIMES.find((name) => process.versions[name] !== undefined)!;

/** Why what is about the permissions of Deno is skipped, if so. */
export const NO_PERMISSIONS: string | false = RUNTIME === "deno"
  ? false
  : `${RUNTIME} has no such permissions: run it on Deno`;
