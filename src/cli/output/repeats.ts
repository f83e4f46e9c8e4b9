/**
 * What happens again and again, told once a second.
 *
 * @module
 */
import { startTimer } from "../../wait/waiting.ts";

const PERIOD_MS = 1_000;

/** What a line says of an entry that stands for several. */
export function lastOf({ count }: { readonly count?: number | undefined }): string {
  return count === undefined ? "" : `, the last of ${count} in a second`;
}

/** Entries of a log that somebody else can have as many of as he likes. */
export class Repeats<E extends object> implements Disposable {
  readonly #log: (entry: E & { readonly count?: number }) => void;
  /** Those told in this period: the last of each, and how many more there were. */
  readonly #told: Map<string, { last: E; count: number }> = new Map();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `log` is told the entries, with a `count` where one stands for several. */
  constructor(log: (entry: E & { readonly count?: number }) => void) {
    this.#log = log;
  }

  /**
   * Tells the first `entry` with that key at once, and of those that follow the last in a second.
   */
  tell(key: string, entry: E): void {
    const told = this.#told.get(key);
    if (told !== undefined) {
      told.last = entry;
      told.count++;
      return;
    }
    this.#log(entry);
    this.#told.set(key, { last: entry, count: 0 });
    this.#timer ??= startTimer(this.#onPeriod, PERIOD_MS);
  }

  readonly #onPeriod = (): void => {
    this.#timer = undefined;
    for (const [key, told] of this.#told) {
      if (told.count === 0) this.#told.delete(key);
      this.#tellMore(told);
    }
    if (this.#told.size > 0) this.#timer = startTimer(this.#onPeriod, PERIOD_MS);
  };

  #tellMore(told: { readonly last: E; count: number }): void {
    const { last, count } = told;
    told.count = 0;
    if (count > 0) this.#log(count === 1 ? last : { ...last, count });
  }

  /** Tells what is left, and begins anew. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const told of this.#told.values()) this.#tellMore(told);
    this.#told.clear();
  }
}
