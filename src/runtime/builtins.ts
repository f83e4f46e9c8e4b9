/**
 * Node's modules, each loaded by the first call that needs it. All of them together take longer
 * than all of this library: 40 ms in Deno, 15 ms in Bun. A program that imports it, and may never
 * use a socket, shall not wait for that.
 *
 * @module
 */
import type nodeProcess from "node:process";

const host = globalThis as unknown as {
  readonly process: typeof nodeProcess;
  readonly setImmediate: (callback: () => void) => unknown;
};

function lazy<Module>(name: string): () => Module {
  let loaded: Module | undefined;
  return () => loaded ??= host.process.getBuiltinModule(name) as Module;
}

/** `node:buffer`. */
export const buffer: () => typeof import("node:buffer") = lazy("node:buffer");
/** `node:dns/promises`. */
export const dns: () => typeof import("node:dns/promises") = lazy("node:dns/promises");
/** `node:fs`. */
export const fs: () => typeof import("node:fs") = lazy("node:fs");
/** `node:net`. */
export const net: () => typeof import("node:net") = lazy("node:net");
/** `node:os`. */
export const os: () => typeof import("node:os") = lazy("node:os");
/** `node:timers`. */
export const timers: () => typeof import("node:timers") = lazy("node:timers");
/** `node:worker_threads`. */
export const threads: () => typeof import("node:worker_threads") = lazy("node:worker_threads");

/** `node:process`, which is a global: in Deno, one that loads when it is first asked for. */
export const process = (): typeof nodeProcess => host.process;

// Taken at the import: a test with timers of its own may replace it by one that never calls.
let setImmediate = "Deno" in globalThis ? undefined : host.setImmediate;
let loading = false;

/**
 * `setImmediate()` of `node:timers`, which is a global too. Deno loads it when it is first asked
 * for, and runs microtasks meanwhile: what those bring here comes in a microtask too.
 */
export function immediate(callback: () => void): void {
  if (setImmediate === undefined && !loading) {
    loading = true;
    try {
      setImmediate = host.setImmediate;
    } finally {
      loading = false;
    }
  }
  (setImmediate ?? queueMicrotask)(callback);
}
