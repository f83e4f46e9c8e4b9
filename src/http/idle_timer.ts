/**
 * A timer that starts anew all the time, which costs a look at the clock and no timer.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import { TIMER_MAX_MS } from "../wait/waiting.ts";

/** Calls back once nothing has happened for some time. It does not keep the process alive. */
export class IdleTimer {
  readonly #onIdle: () => void;
  #ms = 0;
  /** When something last happened, and when the timer goes off, as `performance.now()` counts. */
  #last = 0;
  #due = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Off until `set()`. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  /** Milliseconds; 0 where it is off. */
  get ms(): number {
    return this.#ms;
  }

  /** Counts `ms` milliseconds from now on, more than a timer can wait, too; 0 for never. */
  set(ms: number): void {
    this.#ms = ms;
    this.touch();
  }

  /** Something has happened: counts anew, even after it has called back. */
  touch(): void {
    if (this.#ms === 0) return;
    this.#last = performance.now();
    const due = this.#last + this.#ms;
    if (this.#timer === undefined) this.#start(due);
    else if (due < this.#due) {
      clearTimeout(this.#timer);
      this.#start(due);
    }
  }

  /** Off, and nothing left of it. */
  stop(): void {
    this.#ms = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #start(due: number): void {
    this.#due = due;
    const ms = Math.min(Math.ceil(due - performance.now()), TIMER_MAX_MS);
    this.#timer = setTimeout(() => this.#goOff(), ms);
    this.#timer.unref();
  }

  #goOff(): void {
    this.#timer = undefined;
    if (this.#ms === 0) return;
    const due = this.#last + this.#ms;
    if (due > performance.now()) this.#start(due);
    else this.#onIdle();
  }
}
