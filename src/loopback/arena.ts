/**
 * Payload memory: blocks of shared memory that their owner fills and the peer gives back.
 *
 * Each block is a buffer of its own, so that a view's `.buffer` shows the bytes of one packet and
 * zeros, never those of another packet.
 *
 * @module
 */
import { USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import type { Payload } from "../virtio/packet.ts";
import { PagePayload } from "../virtio/payload.ts";
import { LARGE_BLOCK, SMALL_BLOCK } from "./link_memory.ts";
import { BROKEN, NONE, type ReturnReader, type ReturnWriter } from "./ring.ts";

/** Where a payload's block goes when it is freed. */
interface Home {
  giveBack(block: number): void;
}

const EMPTY: Uint8Array = new Uint8Array(0);

/** Blocks of one lane, and the views over them, which are made once. */
export class Blocks {
  readonly #whole: readonly Uint8Array[];
  readonly #last: Uint8Array[];

  /** Over `buffers`, which are numbered by their place. */
  constructor(buffers: readonly SharedArrayBuffer[]) {
    this.#whole = buffers.map((buffer) => new Uint8Array(buffer));
    this.#last = this.#whole.slice();
  }

  /** How many there are. */
  get count(): number {
    return this.#whole.length;
  }

  /** All bytes of `block`; `undefined` where there is no such block. */
  whole(block: number): Uint8Array | undefined {
    return this.#whole[block];
  }

  /** The first `length` bytes of `block`, which exist. The same length gives the same view. */
  view(block: number, length: number): Uint8Array {
    const last = this.#last[block]!;
    if (last.length === length) return last;
    return this.#last[block] = this.#whole[block]!.subarray(0, length);
  }
}

/** The bytes of one packet in one block. */
export class BlockPayload implements Payload {
  bytes: Uint8Array;
  readonly #block: number;
  readonly #blocks: Blocks;
  #home: Home | undefined;
  #copy: PagePayload | undefined;

  /** The first `length` bytes of `block`, which `home` gets back. */
  constructor(home: Home, blocks: Blocks, block: number, length: number) {
    this.#home = home;
    this.#blocks = blocks;
    this.#block = block;
    this.bytes = blocks.view(block, length);
  }

  append(data: Uint8Array): boolean {
    const { length } = this.bytes;
    if (this.#copy !== undefined) return false;
    if (length + data.length > pageEnd(length)) return false;
    this.#blocks.whole(this.#block)!.set(data, length);
    this.bytes = this.#blocks.view(this.#block, length + data.length);
    return true;
  }

  /** Of the copy that `own()` has made: a SharedArrayBuffer cannot be detached. */
  revoke(): void {
    if (this.#copy === undefined) return;
    this.#copy.revoke();
    this.bytes = this.#copy.bytes;
  }

  /** The block stays, for the views of it that are lent. */
  own(): void {
    this.#copy ??= new PagePayload(this.bytes);
    this.bytes = this.#copy.bytes;
  }

  free(): void {
    if (this.#home === undefined) return;
    const home = this.#home;
    this.#home = undefined;
    this.#copy?.free();
    this.bytes = EMPTY;
    home.giveBack(this.#block);
  }

  /** Takes the block out of this payload, whose home must be `home`. */
  surrender(home: Home): number {
    if (this.#home !== home) throw notOurs();
    this.#home = undefined;
    this.bytes = EMPTY;
    return this.#block;
  }
}

/**
 * Free blocks, first in, first out. The one that came back last is the one to stay away from: its
 * lines are still modified in the other processor's own cache, and to fetch them from there is up
 * to five times slower than from the cache that both share, where those of the one that came back
 * first have gone.
 */
class Shelf {
  /** How many there are. */
  count = 0;
  readonly #blocks: Uint32Array;
  #first = 0;

  /** Empty, for up to `capacity` blocks. */
  constructor(capacity: number) {
    this.#blocks = new Uint32Array(2 ** Math.ceil(Math.log2(capacity)));
  }

  /** Puts `block` behind all others. */
  put(block: number): void {
    this.#blocks[(this.#first + this.count++) & (this.#blocks.length - 1)] = block;
  }

  /** The block that has been here the longest, or NONE. */
  take(): number {
    if (this.count === 0) return NONE;
    const block = this.#blocks[this.#first]!;
    this.#first = (this.#first + 1) & (this.#blocks.length - 1);
    this.count--;
    return block;
  }
}

/** Where a block of our own is. */
const AT = { home: 0, peer: 1, page: 2 } as const;

/** Our own blocks: those we fill and send. */
export class SendArena implements Home {
  /** Whether the peer gave a block back since somebody put `false`. */
  gained = false;
  readonly #blocks: Blocks;
  readonly #returns: ReturnReader;
  readonly #at: Uint8Array;
  /** Bytes of each block that may be other than zero. */
  readonly #dirty: Uint32Array;
  readonly #small: Shelf;
  readonly #large: Shelf;
  /** How many may be page 0s: those stay away for as long as a connection lasts. */
  readonly #pagesMax: number;
  #pages = 0;

  /** Over `blocks`, all of them zero; `returns` is where the peer gives them back. */
  constructor(blocks: Blocks, returns: ReturnReader) {
    this.#blocks = blocks;
    this.#returns = returns;
    this.#at = new Uint8Array(blocks.count);
    this.#dirty = new Uint32Array(blocks.count);
    this.#small = new Shelf(blocks.count);
    this.#large = new Shelf(blocks.count);
    for (let block = 0; block < blocks.count; block++) this.#shelf(block).put(block);
    this.capacity = this.#large.count * LARGE_BLOCK;
    this.#pagesMax = Math.floor(this.#small.count / 2);
  }

  /** Bytes that fit, in pieces of a large block each, when none is in use. */
  readonly capacity: number;

  /** Blocks that are neither in use here nor with the peer. */
  get free(): number {
    return this.#small.count + this.#large.count;
  }

  /** Whether the peer may have given something back. */
  returnsPending(): boolean {
    return this.#returns.pending();
  }

  /** Whether a block of the size that `length` bytes are meant for is free. */
  fits(length: number): boolean {
    return (length <= SMALL_BLOCK ? this.#small : this.#large).count > 0;
  }

  /** A copy of `data` in a block, or `undefined` where no block that it fits is free. */
  fill(data: Uint8Array): BlockPayload | undefined {
    const { length } = data;
    const block = this.#take(length);
    if (block === NONE) return undefined;
    const payload = new BlockPayload(this, this.#blocks, block, length);
    copyInto(payload.bytes, data);
    const dirty = this.#dirty[block]!;
    if (dirty > length) this.#blocks.whole(block)!.fill(0, length, dirty);
    this.#dirty[block] = pageEnd(length); // either side may append up to there
    return payload;
  }

  /** A block for a page 0, all zero and with the peer at once, or NONE. */
  takePage(): number {
    if (this.#pages >= this.#pagesMax) return NONE;
    const block = this.#small.take();
    if (block === NONE) return NONE;
    this.#at[block] = AT.page;
    this.#pages++;
    this.#blocks.whole(block)!.fill(0, 0, this.#dirty[block]);
    this.#dirty[block] = USR_PAGE_SIZE;
    return block;
  }

  /** The peer has `block` from now on, and may give it back. */
  lend(block: number): void {
    if (this.#at[block] === AT.page) this.#pages--;
    this.#at[block] = AT.peer;
  }

  giveBack(block: number): void {
    this.#at[block] = AT.home;
    this.#shelf(block).put(block);
  }

  /** Takes what the peer gave back: how many, or BROKEN where it never had one of them. */
  collect(): number {
    const count = this.#returns.count();
    for (let i = 0; i < count; i++) {
      const block = this.#returns.take();
      if (this.#at[block] !== AT.peer) return BROKEN;
      this.giveBack(block);
      this.gained = true;
    }
    return count;
  }

  #take(length: number): number {
    const fits = length <= SMALL_BLOCK && this.#small.count > 0 ? this.#small : this.#large;
    return fits.take();
  }

  #shelf(block: number): Shelf {
    return this.#blocks.whole(block)!.length === SMALL_BLOCK ? this.#small : this.#large;
  }
}

/** The peer's blocks: those it sent us and we hold. */
export class ReceivedBlocks implements Home {
  readonly #blocks: Blocks;
  readonly #returns: ReturnWriter;
  readonly #held: Uint8Array;
  readonly #returned: () => void;
  #corked = false;

  /** Over `blocks`; `returned` is called after some went back by `returns`. */
  constructor(blocks: Blocks, returns: ReturnWriter, returned: () => void) {
    this.#blocks = blocks;
    this.#returns = returns;
    this.#held = new Uint8Array(blocks.count);
    this.#returned = returned;
  }

  /** Holds `block`: all its bytes, or `undefined` where there is none or we hold it already. */
  hold(block: number): Uint8Array | undefined {
    const bytes = this.#blocks.whole(block);
    if (bytes === undefined || this.#held[block] !== 0) return undefined;
    this.#held[block] = 1;
    return bytes;
  }

  /** Holds `block` as a payload of `length` bytes; `undefined` where that cannot be. */
  payload(block: number, length: number): BlockPayload | undefined {
    const bytes = this.#blocks.whole(block);
    if (bytes === undefined || length > bytes.length || this.#held[block] !== 0) return undefined;
    this.#held[block] = 1;
    return new BlockPayload(this, this.#blocks, block, length);
  }

  giveBack(block: number): void {
    this.#held[block] = 0;
    this.#returns.put(block);
    if (!this.#corked) this.#publish();
  }

  /** Blocks given back while `give` runs go back together: each look of the peer costs both. */
  together(give: () => void): void {
    this.#corked = true;
    try {
      give();
    } finally {
      this.#corked = false;
      this.#publish();
    }
  }

  #publish(): void {
    this.#returns.publish();
    this.#returned();
  }
}

/** What sending a payload of somebody else's throws. */
export function notOurs(): TypeError {
  return new TypeError(
    "Cannot send a packet: payload must be one that this link allocated: current value is not",
  );
}

/** Fills `bytes` with the start of `data`, which another thread may have made longer meanwhile. */
function copyInto(bytes: Uint8Array, data: Uint8Array): void {
  try {
    bytes.set(data);
  } catch {
    bytes.set(data.subarray(0, bytes.length));
  }
}

/** The end of the page that the last of `length` bytes lies in. */
function pageEnd(length: number): number {
  return (length + USR_PAGE_SIZE - 1) & -USR_PAGE_SIZE;
}
