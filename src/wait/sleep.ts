/**
 * Sleeping without an event loop.
 *
 * @module
 */

/** Nobody else has it, so that nobody ends a wait for it. */
const never: Int32Array = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread for `ms` milliseconds. */
export function sleepSync(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
