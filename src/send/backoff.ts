/**
 * Looking again after a while, where nothing tells when.
 *
 * @module
 */
import { timers } from "../runtime/builtins.ts";

const [FIRST_MS, LONGEST_MS] = [1, 100];

/** Pauses that get longer, none of which keeps the process alive. */
export class Backoff {
  #ms = FIRST_MS;

  /** The next pause. */
  next(): Promise<void> {
    const ms = this.#ms;
    this.#ms = Math.min(ms * 2, LONGEST_MS);
    return new Promise((resolve) => void timers().setTimeout(resolve, ms).unref());
  }

  /** Begins anew with a short one. */
  reset(): void {
    this.#ms = FIRST_MS;
  }
}
