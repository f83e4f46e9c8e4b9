/**
 * Keeping an event loop alive while a promise is awaited.
 *
 * A pending promise does not hold the loop of any JavaScript runtime, and neither does a pending
 * `Atomics.waitAsync`. A socket whose waits are plain promises holds it by this.
 *
 * @module
 */

/** What a timer of Deno, Bun and Node has; a browser's is a number and holds nothing. */
interface LoopTimer {
  ref(): unknown;
  unref(): unknown;
}

/** Longer than any process waits without its timer going off once, in milliseconds. */
const FOREVER_MS = 2 ** 30;

/**
 * Counts those who wait and holds the event loop exactly while there are any. One for each carrier,
 * not for each socket: it is one timer, made at the first `acquire()`, that is ref'd and unref'd.
 * Does nothing where timers have no `ref()`.
 */
export class LoopHold implements Disposable {
  #holders = 0;
  #timer: LoopTimer | undefined;

  /** How many hold the event loop now. */
  get holders(): number {
    return this.#holders;
  }

  /** A wait begins; `release()` must follow. Costs tens of nanoseconds. */
  acquire(): void {
    if (this.#holders++ > 0) return;
    if (this.#timer === undefined) this.#timer = startHoldTimer();
    else this.#timer.ref();
  }

  /** A wait is over. */
  release(): void {
    if (--this.#holders === 0) this.#timer?.unref();
  }

  /**
   * Stops the idle timer: for a carrier whose last socket closes, so that nothing is left behind.
   * Does nothing while somebody holds; `acquire()` starts it anew.
   */
  [Symbol.dispose](): void {
    if (this.#holders > 0) return;
    clearInterval(this.#timer as never);
    this.#timer = undefined;
  }
}

/** Whether the waits of one socket hold the event loop, the default; may change while they wait. */
export class SocketHold {
  readonly #loop: LoopHold;
  #waits = 0;
  #refed = true;

  /** By `loop`, which others share. */
  constructor(loop: LoopHold) {
    this.#loop = loop;
  }

  /** A wait begins; `release()` must follow. */
  acquire(): void {
    this.#waits += 1;
    if (this.#refed) this.#loop.acquire();
  }

  /** A wait is over. */
  release(): void {
    this.#waits -= 1;
    if (this.#refed) this.#loop.release();
  }

  /** Waits hold it from now on, those that are pending too. */
  ref(): void {
    if (this.#refed) return;
    this.#refed = true;
    for (let wait = 0; wait < this.#waits; wait++) this.#loop.acquire();
  }

  /** Waits do not hold it from now on, those that are pending neither. */
  unref(): void {
    if (!this.#refed) return;
    this.#refed = false;
    for (let wait = 0; wait < this.#waits; wait++) this.#loop.release();
  }
}

function startHoldTimer(): LoopTimer | undefined {
  const timer: unknown = setInterval(() => {}, FOREVER_MS);
  if (isLoopTimer(timer)) return timer;
  clearInterval(timer as never);
  return undefined;
}

function isLoopTimer(timer: unknown): timer is LoopTimer {
  return typeof timer === "object" && timer !== null && "ref" in timer && "unref" in timer;
}
