/**
 * A nap between two packets of a guest, which may come meanwhile without a kick.
 *
 * @module
 */
import { startTimer } from "../wait/waiting.ts";

/** How long one takes, in milliseconds. */
export const NAP_MS = 1;

/** The naps of one guest. They do not keep the process alive. */
export class Nap {
  readonly #wake: () => void;
  /** One that is set stays so, since a timer costs more than to let one end in vain. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When it is over; `Infinity` where there is none. */
  #end = Infinity;

  /** `wake` is called when one is over. */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  /** Whether there is one, over or not. */
  get on(): boolean {
    return this.#end !== Infinity;
  }

  /** Whether there is one that is over. */
  get over(): boolean {
    return this.on && performance.now() >= this.#end;
  }

  /** Begins one. */
  begin(): void {
    this.#end = performance.now() + NAP_MS;
    this.#timer ??= startTimer(this.#tick, NAP_MS);
  }

  /** There is none any more. */
  end(): void {
    this.#end = Infinity;
  }

  /** Likewise, and there will be none for long. */
  stop(): void {
    this.end();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    if (!this.on) return;
    const left = this.#end - performance.now();
    if (left > 0) this.#timer = startTimer(this.#tick, Math.ceil(left));
    else this.#wake();
  };
}
