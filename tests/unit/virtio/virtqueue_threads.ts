/** A virtqueue that two threads share, with an eventfd each way made of Atomics. */
import { ringBytes, type RingMemory } from "../../../src/virtio/split_ring.ts";
import { ringIn } from "./virtqueue_driver.ts";

/** What a thread that has lost a wake-up would wait for in vain. */
const WAIT_MS = 60_000;

/** What the two threads share, and what they are to do. */
export interface Shared {
  readonly buffer: SharedArrayBuffer;
  readonly size: number;
  readonly eventIdx: boolean;
  /** Chains in all. */
  readonly chains: number;
}

/** An eventfd(2) in a word: signals that nobody waits for are kept. */
export class Event {
  readonly #words: Int32Array;

  /** The word numbered `index`. */
  constructor({ buffer }: Shared, index: 0 | 1) {
    this.#words = new Int32Array(buffer, 4 * index, 1);
  }

  signal(): void {
    Atomics.store(this.#words, 0, 1);
    Atomics.notify(this.#words, 0);
  }

  /** Blocks until it was signalled; an Error if that takes for ever. */
  wait(): void {
    while (Atomics.exchange(this.#words, 0, 0) === 0) {
      if (Atomics.wait(this.#words, 0, 0, WAIT_MS) === "timed-out") throw new Error("lost");
    }
  }
}

/** For `chains` through a virtqueue of `size`. */
export function share(size: number, eventIdx: boolean, chains: number): Shared {
  const { desc, avail, used } = ringBytes(size);
  const buffer = new SharedArrayBuffer(16 + desc + avail + used + 16);
  return { buffer, size, eventIdx, chains };
}

/** Its virtqueue. */
export function ringOf({ buffer, size }: Shared): RingMemory {
  return ringIn(new Uint8Array(buffer), size, 16);
}
