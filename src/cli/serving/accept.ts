/**
 * Failures of accept(2) that pass.
 *
 * @module
 */
import { EXHAUSTED, VsockError } from "../../error.ts";

/** Milliseconds until accept(2) is tried again when descriptors have run out. */
export const FULL_MS = 100;

/** Whether descriptors or memory have run out: a connection that ends gives some back. */
export function isExhausted(error: unknown): error is VsockError {
  return error instanceof VsockError && EXHAUSTED.has(error.code);
}
