/**
 * A moment's patience before a wait goes to another thread.
 *
 * What is about to come, such as the answer to what was just sent, is had sooner and cheaper by
 * blocking for it: to be woken by another thread takes several switches between threads. So a wait
 * blocks for a moment first where that has been worth while, and hardly ever where it has not.
 *
 * @module
 */
import type { PollFds } from "../../ffi/abi/poll.ts";
import { ppoll } from "../../ffi/libc.ts";

/** How long an event loop may be held up, in milliseconds. */
const MOMENT_MS = 0.2;
/** After this many moments in vain, one wait in 2^MOST_MISSES tries again. */
const MOST_MISSES = 8;

/** How one reactor lingers. */
export class Linger {
  readonly #poll: typeof ppoll;
  #misses = 0;
  #skips = 0;

  /** `poll` waits for milliseconds, and for parts of one. */
  constructor(poll: typeof ppoll = ppoll) {
    this.#poll = poll;
  }

  /**
   * Whether some of `fds` are ready, now or after a moment that this thread blocks for. Where they
   * are known to be `dry`, it does not look without a moment.
   */
  poll(fds: PollFds, dry: boolean = false): boolean {
    if (this.#skips > 0) {
      this.#skips -= 1;
      return !dry && this.#poll(fds, 0) > 0;
    }
    if (this.#poll(fds, MOMENT_MS) > 0) {
      this.#misses = 0;
      return true;
    }
    this.#misses = Math.min(this.#misses + 1, MOST_MISSES);
    this.#skips = 2 ** this.#misses - 1;
    return false;
  }
}
