/**
 * How long nothing has moved.
 *
 * @module
 */

/** Looked at once a period, it does not count the time for which the whole process was stopped. */
export class Stillness {
  readonly #mostMs: number;
  #seen: number;
  #stillMs = 0;
  #lookedAt: number = performance.now();

  /** `seen` is a count of what moves, now. */
  constructor(periodMs: number, seen: number) {
    this.#mostMs = 2 * periodMs;
    this.#seen = seen;
  }

  /** For how many milliseconds the count has been `seen`. */
  look(seen: number): number {
    const now = performance.now();
    const sinceMs = Math.min(now - this.#lookedAt, this.#mostMs);
    this.#lookedAt = now;
    this.#stillMs = seen === this.#seen ? this.#stillMs + sinceMs : 0;
    this.#seen = seen;
    return this.#stillMs;
  }
}
