/**
 * Which MSG_ZEROCOPY sends of a socket the kernel has not done with. No I/O.
 *
 * The kernel counts the sends of a socket from 0, modulo 2^32, and tells by ranges which are over:
 * one range for several sends, and not always in order.
 *
 * @module
 */

/** Called once, when the kernel no longer reads the `bytes` of a send; `copied`: it made a copy. */
export type Done = (bytes: number, copied: boolean) => void;

interface Send {
  /** Keeps the memory from the garbage collector. */
  readonly data: Uint8Array;
  readonly bytes: number;
  readonly done: Done;
  readonly copied: boolean;
}

const HALF = 2 ** 31;

/** The sends of one socket that are under way. */
export class InFlight {
  readonly #sends: Map<number, Send> = new Map();
  #next: number;

  /** `next` is the number that the kernel gives to the next send. */
  constructor(next = 0) {
    this.#next = next;
  }

  /** How many there are. */
  get size(): number {
    return this.#sends.size;
  }

  /**
   * A send of the first `bytes` of `data`, which stay reachable until `done`; `copied` where that
   * is known already. Of sends that end together the kernel tells that of the first one only.
   */
  add(data: Uint8Array, bytes: number, done: Done, copied = false): void {
    this.#sends.set(this.#next, { data, bytes, done, copied });
    this.#next = (this.#next + 1) >>> 0;
  }

  /**
   * The kernel has done with sends `first` to `last`, inclusive; those that are unknown or over are
   * passed by. `false`, and nothing else, where `last` was never given out: somebody else sends
   * too.
   */
  complete(first: number, last: number, copied: boolean): boolean {
    if ((this.#next - 1 - last) >>> 0 >= HALF) return false;
    const further = (last - first) >>> 0;
    if (further < this.#sends.size) {
      for (let step = 0; step <= further; step++) this.#end((first + step) >>> 0, copied);
    } else {
      for (const id of this.#sends.keys()) {
        if ((id - first) >>> 0 <= further) this.#end(id, copied);
      }
    }
    return true;
  }

  #end(id: number, copied: boolean): void {
    const send = this.#sends.get(id);
    if (send === undefined) return;
    this.#sends.delete(id);
    send.done(send.bytes, copied || send.copied);
  }
}
