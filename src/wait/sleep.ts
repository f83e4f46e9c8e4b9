/**
 * Sleeping without an event loop.
 *
 * @module
 */

/** Blocks this thread for `ms` milliseconds. */
export function sleepSync(ms: number): void {
  // Nobody else has this memory, so that nobody ends the wait.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
