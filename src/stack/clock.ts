/**
 * The time that a stack lives in: the real one, or one that a test moves by hand.
 *
 * @module
 */
import { requireFunction, requireWithin } from "../arguments.ts";
import { startTimer } from "../wait/waiting.ts";

/** Tells the time and calls back later. */
export interface Clock {
  /** Milliseconds since any fixed moment; never goes back. */
  now(): number;
  /** Calls `run` in `ms` milliseconds; the function it gives cancels that. */
  after(ms: number, run: () => void): () => void;
}

/** The monotonic clock of the runtime. What is due later does not keep a process alive. */
export const realClock: Clock = {
  now: (): number => performance.now(),
  after(ms: number, run: () => void): () => void {
    const timer = startTimer(run, ms);
    return (): void => clearTimeout(timer);
  },
};

/**
 * A clock that stands still until `advance()` is called: an 8 second close timer in no time.
 *
 * @example Let a connect time out without waiting for it
 * ```ts
 * import { createLoopback, ManualClock } from "@vsockit/vsockit/loopback";
 *
 * const clock = new ManualClock();
 * const transport = createLoopback({ clock, faults: { dropAfterBytes: 0 } });
 * using socket = transport.socket("stream");
 * socket.connect({ cid: 1, port: 1024 });
 * clock.advance(2_000);
 * console.log(socket.takeError()); // 110, ETIMEDOUT
 * ```
 */
export class ManualClock implements Clock {
  #now = 0;
  readonly #due = new Set<{ at: number; run: () => void }>();

  /** Milliseconds that `advance()` has added up. */
  now(): number {
    return this.#now;
  }

  /** Calls `run` once `advance()` has moved the time on by `ms`. */
  after(ms: number, run: () => void): () => void {
    requireWithin("ms", ms, 0, Infinity);
    requireFunction("run", run);
    const entry = { at: this.#now + ms, run };
    this.#due.add(entry);
    return (): void => void this.#due.delete(entry);
  }

  /** Moves the time on by `ms`, running what becomes due at its own time and in its order. */
  advance(ms: number): void {
    requireWithin("ms", ms, 0, Infinity);
    const end = this.#now + ms;
    for (;;) {
      let first: { at: number; run: () => void } | undefined;
      for (const entry of this.#due) {
        if (entry.at <= end && (first === undefined || entry.at < first.at)) first = entry;
      }
      if (first === undefined) break;
      this.#due.delete(first);
      this.#now = Math.max(this.#now, first.at);
      first.run();
    }
    this.#now = Math.max(this.#now, end); // what was due may have gone further
  }
}
