/**
 * Which runtimes can run this. It imports nothing, and an old runtime can read it too.
 *
 * @module
 */

/**
 * The versions that are needed, for messages. Node has its FFI from 26.1 on, by
 * `--experimental-ffi`; before 1.4.3, `serve` on Bun never answers a client that half-closes.
 */
export const NEEDED = "Deno 2.9, Bun 1.4.3 or Node 26.9, or later";

/** Major and minor of the oldest that will do. Node is last: the others say they are one. */
const OLDEST: Readonly<Record<string, readonly [number, number]>> = {
  deno: [2, 9], // before, its event loop misses what another thread tells it, or ends too early
  bun: [1, 4], // before, its FFI takes typed arrays alone
  node: [26, 1], // before, it has no FFI
};

/** A runtime. */
export interface Runtime {
  /** `"deno"`, `"bun"` or `"node"`. */
  readonly name: string;
  /** E.g. `"26.9.0"`. */
  readonly version: string;
}

/** The runtime at hand; `undefined` where it is none of these. */
export function runtimeHere(): Runtime | undefined {
  const { process } = globalThis as { process?: { versions?: Record<string, string> } };
  for (const name of Object.keys(OLDEST)) {
    const version = process?.versions?.[name];
    if (version !== undefined) return { name, version };
  }
  return undefined;
}

/** Name and version of the runtime at hand, e.g. `"deno 2.9.6"`. */
export function runtimeName(): string {
  const runtime = runtimeHere();
  return runtime === undefined ? "unknown runtime" : `${runtime.name} ${runtime.version}`;
}

/** Whether a runtime is older than those that will do. */
export function isTooOld({ name, version }: Runtime): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST[name] ?? [0, 0];
  return major < oldestMajor || major === oldestMajor && minor < oldestMinor;
}
