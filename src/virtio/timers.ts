/**
 * Deadlines in the order of their time, for whoever owns the clock to run.
 *
 * @module
 */

/** A deadline that was set; `Timers.cancel()` takes it. */
export interface Timer {
  /** When, in milliseconds of the owner's clock. */
  readonly at: number;
  /** What is due then; `undefined` once run or cancelled. */
  run: (() => void) | undefined;
}

/**
 * A binary heap of deadlines. It has no clock: the owner asks `next()` when something is due and
 * calls `run(now)` then.
 */
export class Timers {
  #heap: Timer[] = [];
  /** How many of the heap were cancelled. */
  #dead = 0;

  /** Deadlines that take memory: at most half of them were cancelled. */
  get kept(): number {
    return this.#heap.length;
  }

  /** Sets a deadline at time `at`. */
  add(at: number, run: () => void): Timer {
    const timer: Timer = { at, run };
    const heap = this.#heap;
    let i = heap.push(timer) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]!.at <= at) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = timer;
    return timer;
  }

  /** Forgets a deadline; one that has run or was cancelled is left alone. */
  cancel(timer: Timer): void {
    if (timer.run === undefined) return;
    timer.run = undefined;
    this.#dead++;
    if (this.#dead > this.#heap.length / 2) this.#forget();
  }

  /** The time of the next deadline; `Infinity` for none. */
  next(): number {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) {
      this.#pop();
      this.#dead--;
    }
    return this.#heap[0]?.at ?? Infinity;
  }

  /** Runs every deadline that is due at `now`, in order. */
  run(now: number): void {
    while (this.next() <= now) {
      const timer = this.#pop();
      const { run } = timer;
      timer.run = undefined;
      run!();
    }
  }

  /** Drops what was cancelled. */
  #forget(): void {
    const live = this.#heap.filter(({ run }) => run !== undefined);
    this.#heap = live.sort((a, b) => a.at - b.at); // in order, it is a heap
    this.#dead = 0;
  }

  #pop(): Timer {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
