/**
 * Rings with one writer and one reader, in memory that both threads can write at any time.
 *
 * Indices count up for ever and wrap at 2^32; the distance of two of them is taken as a 32-bit
 * difference. Each side keeps its own index in a local and only ever publishes it: what lies in
 * the shared word is read from the other side alone, and checked.
 *
 * @module
 */
import { SLOT_WORDS } from "./link_memory.ts";

/** In place of a slot or a block: there is none now. */
export const NONE = -1;
/** In place of a slot or a block: the other side has written what cannot be. */
export const BROKEN = -2;

/** The shared words of one end, by their place in the control memory. */
export class Words {
  readonly #words: Int32Array;
  readonly #base: number;

  /** Those that start at word `base`. */
  constructor(control: SharedArrayBuffer, base: number) {
    this.#words = new Int32Array(control);
    this.#base = base;
  }

  /** `Atomics.load`. */
  load(word: number): number {
    return Atomics.load(this.#words, this.#base + word);
  }

  /** `Atomics.store`. */
  store(word: number, value: number): void {
    Atomics.store(this.#words, this.#base + word, value);
  }

  /** `Atomics.compareExchange`: whether the word was `expected`. */
  exchange(word: number, expected: number, value: number): boolean {
    const at = this.#base + word;
    return Atomics.compareExchange(this.#words, at, expected, value) === expected;
  }

  /** `Atomics.notify`, everyone. */
  notify(word: number): void {
    Atomics.notify(this.#words, this.#base + word);
  }

  /** `Atomics.wait` while the word is `value`. */
  wait(word: number, value: number, timeoutMs: number): void {
    Atomics.wait(this.#words, this.#base + word, value, timeoutMs);
  }

  /** `Atomics.waitAsync` while the word is `value`; `undefined` where it is not. */
  waitAsync(word: number, value: number): Promise<unknown> | undefined {
    const waiting = Atomics.waitAsync(this.#words, this.#base + word, value);
    return waiting.async ? waiting.value : undefined;
  }
}

/** The writing side of a ring of slots. */
export class RingWriter {
  /** The ring; the slot that `claim()` gave may be written. */
  readonly slots: Uint32Array;
  readonly #own: Words;
  readonly #peer: Words;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #size: number;
  #tail: number;
  #head: number;

  /** Publishes in `own`, reads how far the reader is in `peer`. */
  constructor(
    memory: SharedArrayBuffer,
    [own, tailWord]: [Words, number],
    [peer, headWord]: [Words, number],
    firstIndex: number,
  ) {
    this.slots = new Uint32Array(memory);
    this.#own = own;
    this.#peer = peer;
    this.#tailWord = tailWord;
    this.#headWord = headWord;
    this.#size = this.slots.length / SLOT_WORDS;
    this.#tail = this.#head = firstIndex | 0;
  }

  /** The first word of the next slot, NONE where the ring is full, or BROKEN. */
  claim(): number {
    if (((this.#tail - this.#head) >>> 0) >= this.#size) {
      const head = this.#peer.load(this.#headWord);
      const used = (this.#tail - head) >>> 0;
      if (used > this.#size) return BROKEN;
      this.#head = head;
      if (used === this.#size) return NONE;
    }
    return (this.#tail & (this.#size - 1)) * SLOT_WORDS;
  }

  /** Lets the reader see the claimed slot. */
  publish(): void {
    this.#tail = (this.#tail + 1) | 0;
    this.#own.store(this.#tailWord, this.#tail);
  }

  /** Whether the reader has moved since `claim()` found the ring full. */
  moved(): boolean {
    return this.#peer.load(this.#headWord) !== this.#head;
  }
}

/** The reading side of a ring of slots. */
export class RingReader {
  /** The ring; the slot that `slot()` names may be read, each word once. */
  readonly slots: Uint32Array;
  readonly #own: Words;
  readonly #peer: Words;
  readonly #tailWord: number;
  readonly #headWord: number;
  readonly #size: number;
  #head: number;

  /** Publishes in `own`, reads how far the writer is in `peer`. */
  constructor(
    memory: SharedArrayBuffer,
    [own, headWord]: [Words, number],
    [peer, tailWord]: [Words, number],
    firstIndex: number,
  ) {
    this.slots = new Uint32Array(memory);
    this.#own = own;
    this.#peer = peer;
    this.#headWord = headWord;
    this.#tailWord = tailWord;
    this.#size = this.slots.length / SLOT_WORDS;
    this.#head = firstIndex | 0;
  }

  /** Whether anything may have arrived. */
  pending(): boolean {
    return this.#peer.load(this.#tailWord) !== this.#head;
  }

  /** How many slots have arrived, or BROKEN. */
  count(): number {
    const count = (this.#peer.load(this.#tailWord) - this.#head) >>> 0;
    return count > this.#size ? BROKEN : count;
  }

  /** How many slots were taken so far, modulo 2^32. */
  get taken(): number {
    return this.#head;
  }

  /** The first word of the oldest slot. */
  slot(): number {
    return (this.#head & (this.#size - 1)) * SLOT_WORDS;
  }

  /** Gives the oldest slot back to the writer. */
  release(): void {
    this.#head = (this.#head + 1) | 0;
    this.#own.store(this.#headWord, this.#head);
  }
}

/** Gives numbers of blocks back. The caller holds each at most once, so it is never full. */
export class ReturnWriter {
  readonly #slots: Uint32Array;
  readonly #own: Words;
  readonly #word: number;
  #tail: number;

  /** Publishes in `own`. */
  constructor(memory: SharedArrayBuffer, own: Words, word: number, firstIndex: number) {
    this.#slots = new Uint32Array(memory);
    this.#own = own;
    this.#word = word;
    this.#tail = firstIndex | 0;
  }

  /** Gives `block` back at the next `publish()`. */
  put(block: number): void {
    this.#slots[this.#tail & (this.#slots.length - 1)] = block;
    this.#tail = (this.#tail + 1) | 0;
  }

  /** Lets the reader see what was put. */
  publish(): void {
    this.#own.store(this.#word, this.#tail);
  }
}

/** Takes back numbers of blocks, which may be anything. */
export class ReturnReader {
  readonly #slots: Uint32Array;
  readonly #peer: Words;
  readonly #word: number;
  #head: number;

  /** Reads how far the writer is in `peer`. */
  constructor(memory: SharedArrayBuffer, peer: Words, word: number, firstIndex: number) {
    this.#slots = new Uint32Array(memory);
    this.#peer = peer;
    this.#word = word;
    this.#head = firstIndex | 0;
  }

  /** Whether anything may have come back. */
  pending(): boolean {
    return this.#peer.load(this.#word) !== this.#head;
  }

  /** How many have come back: more than there are where the peer breaks the rules. */
  count(): number {
    return (this.#peer.load(this.#word) - this.#head) >>> 0;
  }

  /** The next of those counted. */
  take(): number {
    const block = this.#slots[this.#head & (this.#slots.length - 1)]!;
    this.#head = (this.#head + 1) | 0;
    return block;
  }
}
