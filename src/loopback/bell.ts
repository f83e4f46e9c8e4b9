/**
 * Sleeping until the other thread has published something, and waking it.
 *
 * No wake-up is lost: the sleeper puts 1 into its `sleeping` word, then looks once more whether
 * there is news, then sleeps while the word is 1. The publisher publishes, then looks at the word.
 * Atomics are sequentially consistent, so either the sleeper's look comes after the publishing and
 * sees the news, or the publisher's look comes after the 1 and wakes. A publisher that sees 0 makes
 * no system call.
 *
 * @module
 */
import { sleepUnheld } from "../wait/waiting.ts";
import { WORD } from "./link_memory.ts";
import type { Words } from "./ring.ts";

/**
 * How long to spin before a sleep. Longer than a sleep and a wake-up take: two threads that sleep
 * in turn would each wait for the other to wake. Not at all where both need the same processor.
 */
const SPIN_MS = navigator.hardwareConcurrency > 1 ? 1 : 0;
const LOOKS_A_ROUND = 16;
/** Between two looks, each of which takes memory away from the thread that writes there. */
const PAUSES_A_LOOK = 8;
/** How often to look where `Atomics.waitAsync` is missing. */
const LOOK_EVERY_MS = 2;

/** Tells the processor that this is a spin loop, where the runtime can say so. */
const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** How one end of a link waits for the other. */
export class Bell {
  readonly #own: Words;
  readonly #peer: Words;
  readonly #news: () => boolean;
  #armed: Promise<void> | undefined;

  /** `news()` says whether there is a reason not to sleep. */
  constructor(own: Words, peer: Words, news: () => boolean) {
    this.#own = own;
    this.#peer = peer;
    this.#news = news;
  }

  /** Wakes the peer if it sleeps: to be called after publishing. */
  ring(): void {
    if (this.#peer.load(WORD.sleeping) !== 0) wake(this.#peer);
  }

  /** Ends our own waits. */
  ringSelf(): void {
    wake(this.#own);
  }

  /**
   * Blocks until there is news, for at most `timeoutMs`: whether there is. `tick` runs at least
   * once where there is none, and between sleeps of at most `sliceMs`.
   */
  waitSync(timeoutMs: number, sliceMs: number, tick: () => void): boolean {
    const start = performance.now();
    if (this.#spin(start, Math.min(timeoutMs, SPIN_MS))) return true;
    const end = start + timeoutMs;
    for (;;) {
      tick();
      const left = end - performance.now();
      const news = this.#sleep(Math.min(left, sliceMs));
      if (news || left <= 0) return news;
    }
  }

  /** Resolves when there may be news. All who call before that share one wait. */
  waitAsync(): Promise<void> {
    if (this.#armed !== undefined) return this.#armed;
    this.#own.store(WORD.sleeping, 1);
    if (this.#news()) {
      this.#own.store(WORD.sleeping, 0);
      return Promise.resolve();
    }
    const woken = Atomics.waitAsync === undefined
      ? this.#lookOften()
      : this.#own.waitAsync(WORD.sleeping, 1);
    if (woken === undefined) return Promise.resolve();
    return this.#armed = woken.then(() => {
      this.#armed = undefined;
    });
  }

  #sleep(ms: number): boolean {
    this.#own.store(WORD.sleeping, 1);
    if (!this.#news()) this.#own.wait(WORD.sleeping, 1, ms);
    // A pending waitAsync still wants to be woken.
    if (this.#armed === undefined) this.#own.store(WORD.sleeping, 0);
    return this.#news();
  }

  #spin(start: number, ms: number): boolean {
    do {
      for (let i = 0; i < LOOKS_A_ROUND; i++) {
        if (this.#news()) return true;
        for (let k = 0; k < PAUSES_A_LOOK; k++) pause();
      }
    } while (performance.now() - start < ms);
    return false;
  }

  async #lookOften(): Promise<void> {
    while (!this.#news()) await sleepUnheld(LOOK_EVERY_MS);
  }
}

function wake(words: Words): void {
  words.store(WORD.sleeping, 0);
  words.notify(WORD.sleeping);
}
