/**
 * Turns of the event loop, shared by calls that need not wait.
 *
 * @module
 */
import { immediate } from "../runtime/builtins.ts";

/** Calls of one turn. Others wait for that long at most, and a turn costs little beside them. */
const CALLS = 128;

/**
 * Milliseconds after which Deno is to look at the sockets and files of its own: it does so in one
 * turn of 61 while somebody waits for the next one, and whenever it sleeps.
 */
const LOOK_EVERY_MS = 20;

const looksSeldom = "Deno" in globalThis;
let lookAt = 0;

let shared: Promise<void> | undefined;

/** The next turn, one for all `Turns`: two of them go on in the order in which they waited. */
function sharedTurn(): Promise<void> {
  return shared ??= wholeTurn().then(() => {
    shared = undefined;
  });
}

/** Until the event loop has been round once, input and output of the runtime too. */
function wholeTurn(): Promise<void> {
  const now = looksSeldom ? performance.now() : -1;
  if (now < lookAt) return turn();
  lookAt = now + LOOK_EVERY_MS;
  return sleep();
}

/** Until another thread has hashed no bytes: the shortest sleep there is, 1/20 of a timer's. */
async function sleep(): Promise<void> {
  await crypto.subtle.digest("SHA-1", new Uint8Array(0));
  await turn();
}

/** Until the event loop has been round once. */
export function turn(): Promise<void> {
  return new Promise(immediate);
}

/**
 * The calls of sockets that share a thread. A promise that is settled at once goes on in the same
 * turn of the event loop: a program whose sockets always have data, or room, would never get to its
 * timers, nor to the sockets that wait. So after many such calls all of them wait for the next
 * turn. What counts is calls, never time: what replays by seed stays the same.
 *
 * For transports of your own: each `Socket` has one, best the same for all of a transport.
 */
export class Turns {
  #left = CALLS;
  #next: Promise<void> | undefined;

  /** Counts a call that ends now: whether its result is to be given only after `next()`. */
  spent(): boolean {
    return --this.#left < 0;
  }

  /** Enough was done in this turn: each call that ends from here on waits for the next one. */
  end(): void {
    this.#left = 0;
  }

  /** Whether somebody waits for the next turn. */
  get awaited(): boolean {
    return this.#next !== undefined;
  }

  /** The next turn, the same for all who wait for it. */
  next(): Promise<void> {
    return this.#next ??= sharedTurn().then(() => {
      this.#left = CALLS;
      this.#next = undefined;
    });
  }

  /** Counts a call that ends now, and gives its `value`: now, or in the next turn. */
  give<T>(value: T): Promise<T> {
    return this.spent() ? this.next().then(() => value) : Promise.resolve(value);
  }
}
