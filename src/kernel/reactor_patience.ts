/**
 * A moment's patience before a wait goes to another thread.
 *
 * What is about to come is had sooner and cheaper by staying for it: to be woken by another thread
 * takes several switches between threads. So a thread blocks for a moment first. It even spins
 * before that for the answer to what it has sent: to be woken at all takes tens of microseconds
 * where the processor sleeps meanwhile, as that of a VM does. Who only reads had better sleep,
 * until there is more to read. Each is done where it has been worth while, and hardly ever where it
 * has not.
 *
 * @module
 */
import type { PollFds } from "../../ffi/abi/poll.ts";
import { ppoll } from "../../ffi/libc.ts";

/** How long to spin, in milliseconds: not at all where the peer needs the processor. */
const SPIN_MS = navigator.hardwareConcurrency > 1 ? 0.05 : 0;
/** More looks than there is time for, unless the clock stands still, as a test may have it. */
const MOST_LOOKS = 1_000;
/** How long to block, and so to hold up an event loop, in milliseconds. */
const MOMENT_MS = 0.2;
/** After this many times in vain, one in 2^MOST_MISSES is tried again. */
const MOST_MISSES = 8;

/** Whether something has been worth while. */
class Luck {
  #misses = 0;
  #skips = 0;

  /** Whether to try this time. */
  due(): boolean {
    if (this.#skips === 0) return true;
    this.#skips -= 1;
    return false;
  }

  /** `hit`, of a try that was due. */
  note(hit: boolean): boolean {
    this.#misses = hit ? 0 : Math.min(this.#misses + 1, MOST_MISSES);
    this.#skips = 2 ** this.#misses - 1;
    return hit;
  }
}

/** The patience of one reactor. */
export class Patience {
  readonly #poll: typeof ppoll;
  readonly #spinMs: number;
  readonly #more: Luck = new Luck();
  readonly #spins: Luck = new Luck();
  readonly #answers: Luck = new Luck();

  /** `poll` waits for milliseconds, and for parts of one. */
  constructor(poll: typeof ppoll = ppoll, spinMs: number = SPIN_MS) {
    this.#poll = poll;
    this.#spinMs = spinMs;
  }

  /**
   * Whether some of `fds` are ready, now or after a moment. Where they are known to be `dry`, it
   * does not look without a moment.
   */
  forMore(fds: PollFds, dry: boolean): boolean {
    if (this.#more.due()) return this.#more.note(this.#poll(fds, MOMENT_MS) > 0);
    return !dry && this.#poll(fds, 0) > 0;
  }

  /**
   * Whether some of `fds`, none of which is ready now, are after a while of spinning or a moment.
   */
  forAnswer(fds: PollFds): boolean {
    const spins = this.#spinMs > 0 && this.#spins.due();
    if (spins && this.#spins.note(this.#spin(fds))) return true;
    return this.#answers.due() && this.#answers.note(this.#poll(fds, MOMENT_MS) > 0);
  }

  #spin(fds: PollFds): boolean {
    const end = performance.now() + this.#spinMs;
    let looks = 0;
    do {
      if (this.#poll(fds, 0) > 0) return true;
    } while (++looks < MOST_LOOKS && performance.now() < end);
    return false;
  }
}
