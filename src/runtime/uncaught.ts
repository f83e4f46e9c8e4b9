/**
 * What a callback of the program throws where nobody is there to catch it.
 *
 * @module
 */

/** Leaves `error` uncaught, as of a callback of the event loop: who has called back goes on. */
export function leaveUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
