/**
 * Whether the thread at the other end is still there.
 *
 * A thread that ends without a word (a Worker that is terminated, or throws) leaves nothing behind
 * but a beat that no longer changes.
 *
 * @module
 */
import { STATE, WORD } from "./link_memory.ts";
import type { Words } from "./ring.ts";

const BEATS_UNTIL_DEAD = 8;
const LONGEST_BEAT_MS = 500;

/** The beat of one end, and what it hears of the other's. */
export class Pulse {
  /** Milliseconds from one beat to the next: no sleep of a thread should be longer. */
  readonly beatMs: number;
  readonly #own: Words;
  readonly #peer: Words;
  readonly #deadAfterMs: number;
  #beats = 0;
  #heard = 0;
  #listenedAt: number = performance.now();
  #silentMs = 0;
  #met = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** A peer that is silent for `deadAfterMs` is dead. */
  constructor(own: Words, peer: Words, deadAfterMs: number) {
    this.#own = own;
    this.#peer = peer;
    this.#deadAfterMs = deadAfterMs;
    this.beatMs = Math.min(LONGEST_BEAT_MS, deadAfterMs / BEATS_UNTIL_DEAD);
  }

  /** We are here. */
  beat(): void {
    this.#beats = (this.#beats + 1) | 0;
    this.#own.store(WORD.beat, this.#beats);
  }

  /** Whether the peer has opened its end: it may say later that it has not, and then die. */
  get met(): boolean {
    return this.#met ||= this.#peer.load(WORD.state) !== STATE.created;
  }

  /** Whether the peer has been silent for too long. One that has not opened its end is not. */
  peerIsDead(): boolean {
    const now = performance.now();
    const since = now - this.#listenedAt;
    this.#listenedAt = now;
    const beat = this.#peer.load(WORD.beat);
    if (!this.met || beat !== this.#heard) {
      this.#heard = beat;
      this.#silentMs = 0;
      return false;
    }
    // While this thread did not listen, the whole process may have stood still: the peer gets its
    // chance to beat after that.
    this.#silentMs += Math.min(since, 2 * this.beatMs);
    return this.#silentMs > this.#deadAfterMs;
  }

  /** Calls `tick` at every beat, without holding the event loop. */
  start(tick: () => void): void {
    this.beat();
    this.#timer = setInterval(tick, this.beatMs);
    (this.#timer as { unref?: () => void }).unref?.();
  }

  /** Ends what `start()` began. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
