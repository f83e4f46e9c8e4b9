/**
 * First in, first out.
 *
 * @module
 */

/** Places that are done with, until they are cleared away. */
const TRIM_AT = 64;

/**
 * A queue of any length: `Array.shift()` would move all that is left, which takes long where that
 * is ten thousand. What is done with is cleared away now and then, not each time: an array that is
 * emptied and filled again is allocated again.
 */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  /** How many there are. */
  get length(): number {
    return this.#items.length - this.#head;
  }

  /** What is next; `undefined` for nothing. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }
  set first(item: T) {
    this.#items[this.#head] = item;
  }

  /** What comes after all others; `undefined` for nothing. */
  get last(): T | undefined {
    return this.length > 0 ? this.#items.at(-1) : undefined;
  }

  /** What comes after `index` others; `undefined` for nothing. */
  at(index: number): T | undefined {
    return this.#items[this.#head + index];
  }

  /** Puts `item` behind all others. */
  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first away. There must be one. */
  drop(): void {
    this.#items[this.#head++] = undefined; // it may hold much, and the queue stay idle from now on
    if (this.#head < TRIM_AT || 2 * this.#head < this.#items.length) return;
    this.#items.splice(0, this.#head);
    this.#head = 0;
  }

  /** Takes all of them. */
  clear(): T[] {
    const all = this.#items.slice(this.#head) as T[];
    this.#items = [];
    this.#head = 0;
    return all;
  }
}
