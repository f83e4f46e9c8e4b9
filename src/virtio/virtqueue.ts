/**
 * The split virtqueue, the device's side (virtio 1.2, 2.7): chains that a driver has made available
 * are popped, used, and pushed back in any order. No I/O: whoever uses it waits for the kick and
 * signals the call.
 *
 *     for (;;) {
 *       queue.disableKicks();
 *       for (let chain; (chain = queue.pop()) !== undefined;) queue.push(chain.head, use(chain));
 *       if (queue.publish()) call();
 *       if (!queue.enableKicks()) await kick();
 *     }
 *
 * No kick and no call gets lost. The driver stores `avail.idx` and then loads what was asked for by
 * `enableKicks()`; that stores it and then loads `avail.idx`. Whichever store is first in the one
 * order of them all, the other side's load sees it. The same holds, the other way round, for
 * `publish()` and a driver that looks at `used.idx` again before it sleeps.
 *
 * The driver is not trusted. Each word of it is read once, and one that breaks a rule breaks the
 * virtqueue for good: {@linkcode VirtqueueError}.
 *
 * @module
 */
import {
  VRING_AVAIL_F_NO_INTERRUPT,
  vring_need_event,
  VRING_USED_F_NO_NOTIFY,
} from "../../ffi/abi/virtio_ring.ts";
import { type Chain, ChainReader, type GuestMemory, refuse, VirtqueueError } from "./chain.ts";
import { type RingMemory, SplitRing } from "./split_ring.ts";

/** In place of the bytes that a chain can be given back with: it is the driver's. */
const FREE = -1;
/** Likewise: it was pushed, and the driver does not know yet. */
const STAGED = -2;
const U16 = 0xffff;
const U32 = 0xffff_ffff;

/** What a {@linkcode Virtqueue} is made of. */
export interface VirtqueueOptions extends RingMemory {
  /** Where indirect tables lie. */
  readonly memory: GuestMemory;
  /** Whether `VIRTIO_RING_F_EVENT_IDX` was agreed on. */
  readonly eventIdx: boolean;
  /** Whether `VIRTIO_RING_F_INDIRECT_DESC` was agreed on. */
  readonly indirect: boolean;
  /** The available index to begin at: unsigned 16-bit, 0 for a fresh one. */
  readonly base: number;
}

/** The device's side of one split virtqueue. */
export class Virtqueue {
  /** Descriptors. */
  readonly size: number;
  /** Whether `VIRTIO_RING_F_EVENT_IDX` was agreed on. */
  readonly eventIdx: boolean;
  readonly #ring: SplitRing;
  readonly #reader: ChainReader;
  /** By head: bytes that it can be given back with, `FREE` or `STAGED`. */
  readonly #limits: Float64Array;
  readonly #staged: Uint16Array;
  #stagedCount = 0;
  #inFlight = 0;
  /** What is popped next, and what the driver had made available when we last looked. */
  #lastAvail: number;
  #seenAvail: number;
  #usedIdx: number;
  /** Whether the driver was told of a `used.idx` before. */
  #signalled = false;
  #kicks = true;
  #broken: VirtqueueError | undefined;

  /**
   * Goes on at `base`, and where the `idx` of the used ring stands. Kicks are on.
   *
   * @param ring What reaches the shared words.
   * @throws {RangeError} If a number, a length or an alignment is none that virtio has.
   */
  constructor(options: VirtqueueOptions, ring: SplitRing = new SplitRing(options)) {
    const { size, memory, eventIdx, indirect, base } = options;
    if (!(Number.isInteger(base) && base >= 0 && base <= U16)) {
      throw new RangeError(
        `Cannot open a virtqueue: base must be unsigned 16-bit: current value is ${base}`,
      );
    }
    this.size = size;
    this.#ring = ring;
    this.#reader = new ChainReader(ring, memory, indirect);
    this.eventIdx = eventIdx;
    this.#limits = new Float64Array(size).fill(FREE);
    this.#staged = new Uint16Array(size);
    this.#lastAvail = base;
    this.#seenAvail = base;
    this.#usedIdx = ring.loadUsedIdx();
    ring.storeUsedFlags(0);
  }

  /** The index of the chain that is popped next, modulo 2^16: where another may go on. */
  get lastAvail(): number {
    return this.#lastAvail;
  }

  /** Chains that were popped, and not yet pushed and published. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** What the driver did, where it has broken the virtqueue. */
  get broken(): VirtqueueError | undefined {
    return this.#broken;
  }

  /**
   * How many chains can be popped now.
   *
   * @throws {VirtqueueError} If the driver has broken a rule, now or before.
   */
  available(): number {
    if (this.#broken !== undefined) throw this.#broken;
    try {
      return this.#look();
    } catch (error) {
      throw this.#remembered(error);
    }
  }

  /**
   * Takes the next chain, to be pushed once; `undefined` where there is none.
   *
   * @throws {VirtqueueError} If the driver has broken a rule, now or before.
   */
  pop(): Chain | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    let chain: Chain | undefined;
    try {
      chain = this.#next();
    } catch (error) {
      throw this.#remembered(error);
    }
    if (chain === undefined) return undefined;
    this.#lastAvail = (this.#lastAvail + 1) & U16;
    this.#limits[chain.head] = Math.min(chain.writable, U32);
    this.#inFlight++;
    return chain;
  }

  /** Undoes the last pops: `chains` are those of them, in any order, and are available again. */
  unpop(chains: readonly Chain[]): void {
    for (const { head } of chains) this.#limits[head] = FREE;
    this.#inFlight -= chains.length;
    this.#lastAvail = (this.#lastAvail - chains.length) & U16;
  }

  /**
   * Gives the chain at `head` back, in any order. The driver does not see it before `publish()`.
   *
   * @param written Bytes that were written to it, from its first writable one on.
   * @throws {TypeError} If no chain at `head` is popped.
   * @throws {RangeError} If it has no room for `written` bytes.
   */
  push(head: number, written: number): void {
    const limit = this.#limits[head] ?? FREE;
    if (!(limit >= 0)) {
      throw new TypeError(
        `Cannot push a chain: head must be of one that was popped: current value is ${head}`,
      );
    }
    if (!(Number.isInteger(written) && written >= 0 && written <= limit)) {
      throw new RangeError(
        `Cannot push a chain: written must be at most ${limit}: current value is ${written}`,
      );
    }
    this.#limits[head] = STAGED;
    this.#ring.storeUsed(this.#usedIdx + this.#stagedCount, head, written);
    this.#staged[this.#stagedCount++] = head;
  }

  /** Shows the driver all that was pushed: whether it waits for that, and has to be called. */
  publish(): boolean {
    const count = this.#stagedCount;
    if (count === 0) return false;
    for (let index = 0; index < count; index++) this.#limits[this.#staged[index]!] = FREE;
    this.#stagedCount = 0;
    this.#inFlight -= count;
    const old = this.#usedIdx;
    this.#usedIdx = (old + count) & U16;
    this.#ring.storeUsedIdx(this.#usedIdx);
    if (!this.eventIdx) return (this.#ring.loadAvailFlags() & VRING_AVAIL_F_NO_INTERRUPT) === 0;
    const event = this.#ring.loadUsedEvent();
    if (this.#signalled) return vring_need_event(event, this.#usedIdx, old);
    // As vhost does: nobody knows what was signalled before this virtqueue was opened.
    return this.#signalled = true;
  }

  /**
   * Asks the driver for no kicks, while we look anyway. A hint: some may come. By index there is
   * nothing to do, since one that has passed is asked for no more.
   */
  disableKicks(): void {
    if (this.eventIdx || !this.#kicks) return;
    this.#kicks = false;
    this.#ring.storeUsedFlags(VRING_USED_F_NO_NOTIFY);
  }

  /**
   * Asks the driver for a kick with its next chain, and looks whether that is there already:
   * `true` where there is one to pop, and no kick may come for it. Do not sleep then.
   *
   * @param after With that many chains in its stead, where it can be told so (EVENT_IDX): then do
   * not sleep for long, fewer of them come without a kick.
   * @throws {VirtqueueError} If the driver has broken a rule, now or before.
   */
  enableKicks(after = 1): boolean {
    if (this.eventIdx) this.#ring.storeAvailEvent((this.#lastAvail + after - 1) & U16);
    else if (!this.#kicks) this.#ring.storeUsedFlags(0);
    this.#kicks = true;
    return this.available() > 0;
  }

  #look(): number {
    const idx = this.#ring.loadAvailIdx();
    const ahead = (idx - this.#lastAvail) & U16;
    if (!(ahead <= this.size)) {
      refuse("idx", `at most ${this.size} from ${this.#lastAvail}`, idx);
    }
    this.#seenAvail = idx;
    return ahead;
  }

  #next(): Chain | undefined {
    if (this.#lastAvail === this.#seenAvail && this.#look() === 0) return undefined;
    const head = this.#ring.head(this.#lastAvail);
    if ((this.#limits[head] ?? FREE) !== FREE) refuse("a head", "none that is in flight", head);
    return this.#reader.read(head);
  }

  #remembered(error: unknown): unknown {
    if (error instanceof VirtqueueError) this.#broken = error;
    return error;
  }
}
