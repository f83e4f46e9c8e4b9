/**
 * Who waits for a socket to become ready, as promises.
 *
 * @module
 */
import { type LoopHold, SocketHold } from "./loop_hold.ts";

interface Waiter {
  readonly events: number;
  readonly resolve: (events: number) => void;
  readonly stop: (() => void) | undefined;
}

/** The pending waits of one socket; they hold the event loop unless unref'd. */
export class Waiters {
  readonly #hold: SocketHold;
  readonly #poll: (events: number) => number;
  readonly #look: () => void;
  readonly #list: Waiter[] = [];

  /**
   * `poll()` says which of `events` hold, and changes nothing: it is asked in the midst of a wake.
   * `look()` takes in what nobody was woken for yet, and wakes: it is called before an abort.
   */
  constructor(
    hold: LoopHold,
    poll: (events: number) => number,
    look: () => void = () => {},
  ) {
    this.#hold = new SocketHold(hold);
    this.#poll = poll;
    this.#look = look;
  }

  /** Waits for `events`, which do not hold now. */
  add(events: number, signal: AbortSignal | undefined): Promise<number> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const stop = signal && ((): void => signal.removeEventListener("abort", abort));
      const waiter: Waiter = { events, resolve, stop };
      this.#list.push(waiter);
      this.#hold.acquire();
      if (signal === undefined) return;
      const end = (reason: unknown): void => {
        const index = this.#list.indexOf(waiter);
        if (index === -1) return; // its events held already, or it is over with all others
        this.#list.splice(index, 1);
        this.#hold.release();
        reject(reason);
      };
      const abort = (): void => {
        try {
          this.#look();
        } finally {
          end(signal.reason);
        }
      };
      try {
        // Last: a signal of the caller's own class may close the socket in here, or throw.
        signal.addEventListener("abort", abort, { once: true });
      } catch (error) {
        end(error);
      }
    });
  }

  /** Ends the waits whose events hold now; how many are left. */
  wake(): number {
    const list = this.#list;
    for (let i = 0; i < list.length;) {
      const waiter = list[i]!;
      const events = this.#poll(waiter.events);
      if (events === 0) {
        i++;
      } else {
        list.splice(i, 1); // before its end: its signal may be the caller's own, and close the socket
        this.#end(waiter, events);
      }
    }
    return list.length;
  }

  /** Ends every wait with `events`. */
  finish(events: number): void {
    for (const waiter of this.#list.splice(0)) this.#end(waiter, events);
  }

  /** Waits hold the event loop from now on. */
  ref(): void {
    this.#hold.ref();
  }

  /** Waits do not hold the event loop from now on. */
  unref(): void {
    this.#hold.unref();
  }

  #end(waiter: Waiter, events: number): void {
    waiter.stop?.();
    this.#hold.release();
    waiter.resolve(events);
  }
}
