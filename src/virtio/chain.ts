/**
 * Chains of descriptors, copied out of guest memory word by word, each word once, and checked.
 *
 * What is refused is what virtio 1.2 forbids a driver (2.7.4, 2.7.5, 2.7.5.3), and what would not
 * be exact in a number. Buffers of length 0 are forbidden nowhere: QEMU refuses them, the kernel's
 * vhost does not, and neither does this. There is nothing to read or write in them, so they are
 * left out. Unknown flags are ignored, and so is `VRING_DESC_F_WRITE` of an indirect table, as
 * 2.7.5.3.2 asks for.
 *
 * @module
 */
import {
  VRING_DESC,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
} from "../../ffi/abi/virtio_ring.ts";
import { DESC_WORDS, type SplitRing } from "./split_ring.ts";

/** In 32-bit words; the last one has `flags` below and `next` above. */
const [ADDR, LEN, FLAGS] = [VRING_DESC.at.addr / 4, VRING_DESC.at.len / 4, VRING_DESC.at.flags / 4];
/** Bytes of a chain: its sum must fit `len` of a used element, nearly. */
const CHAIN_MAX = 2 ** 32;
/** Descriptors of a chain, as QEMU has it: several chains may lead into the same ones. */
const DESCRIPTORS_MAX = 1_024;

/** Guest memory by guest-physical address. */
export interface GuestMemory {
  /** The bytes from `gpa` on, live, where they lie within one region; `undefined` where not. */
  bytes(gpa: number, length: number): Uint8Array | undefined;
}

/** One buffer of a chain. Nothing is known of its address: ask {@linkcode GuestMemory}. */
export interface Segment {
  /** Guest-physical; `address + length` is a safe integer. */
  readonly address: number;
  /** Bytes, never 0. */
  readonly length: number;
  /** Whether the device writes to it; else it reads. */
  readonly writable: boolean;
}

/** What a driver made available at once: first what the device reads, then what it writes to. */
export interface Chain {
  /** The index of its first descriptor: what names it when it is given back. */
  readonly head: number;
  /** How many descriptors it has, empty ones too: from 1 to 1024. */
  readonly descriptors: number;
  /** The buffers; the writable ones come last. */
  readonly segments: readonly Segment[];
  /** Bytes that the device can read. */
  readonly readable: number;
  /** Bytes that the device can write. */
  readonly writable: number;
}

/** The driver has broken a rule of virtio. The virtqueue is of no use any more. */
export class VirtqueueError extends Error {
  /** Always `"VirtqueueError"`. */
  override readonly name: string = "VirtqueueError";
}

/** Throws what tells that `what` is `value`, which must be `rule`. */
export function refuse(what: string, rule: string, value: number | string): never {
  throw new VirtqueueError(
    `Cannot use the virtqueue: ${what} must be ${rule}: current value is ${value}`,
  );
}

/** A chain while it is copied. */
class Draft implements Chain {
  readonly head: number;
  descriptors = 0;
  readonly segments: Segment[] = [];
  readable = 0;
  writable = 0;

  constructor(head: number) {
    this.head = head;
  }

  add(address: number, length: number, writable: boolean): void {
    this.descriptors++;
    if (length === 0) return;
    if (writable) this.writable += length;
    else if (this.writable === 0) this.readable += length;
    else refuse("a readable buffer", "before the writable ones", "behind");
    this.segments.push({ address, length, writable });
  }
}

/** Copies the chains of one virtqueue. */
export class ChainReader {
  readonly #ring: SplitRing;
  readonly #memory: GuestMemory;
  readonly #indirect: boolean;
  /** The most descriptors of a chain. */
  readonly #max: number;
  /** The indirect table that is being read: a copy. */
  #table: Uint32Array = new Uint32Array(0);
  #tableBytes: Uint8Array = new Uint8Array(0);

  /** `indirect`: whether `VIRTIO_RING_F_INDIRECT_DESC` was agreed on. */
  constructor(ring: SplitRing, memory: GuestMemory, indirect: boolean) {
    this.#ring = ring;
    this.#memory = memory;
    this.#indirect = indirect;
    this.#max = Math.min(ring.size, DESCRIPTORS_MAX);
  }

  /**
   * The chain that begins at descriptor `head`.
   *
   * @throws {VirtqueueError} If the driver may not have made it.
   */
  read(head: number): Chain {
    const { size, desc } = this.#ring;
    const max = this.#max;
    if (!(head < size)) refuse("a head", `below ${size}`, head);
    const draft = new Draft(head);
    let table = desc;
    let entries = size;
    let index = head;
    let inTable = false;
    for (let count = 1;; count++) {
      if (count > max) refuse("the length of a chain", `at most ${max}`, "more");
      const at = index * DESC_WORDS;
      const address = table[at + ADDR]! + table[at + ADDR + 1]! * 2 ** 32;
      const length = table[at + LEN]!;
      const control = table[at + FLAGS]!;
      if (!(address + length <= Number.MAX_SAFE_INTEGER)) {
        refuse("the end of a buffer", "below 2^53", `${address} + ${length}`);
      }
      if ((control & VRING_DESC_F_INDIRECT) !== 0) {
        if (inTable) refuse("a descriptor in an indirect table", "direct", "indirect");
        if ((control & VRING_DESC_F_NEXT) !== 0) refuse("an indirect descriptor", "last", "NEXT");
        entries = this.#load(address, length);
        table = this.#table;
        index = 0;
        inTable = true;
        count--; // it stands for what is in the table
        continue;
      }
      draft.add(address, length, (control & VRING_DESC_F_WRITE) !== 0);
      if ((control & VRING_DESC_F_NEXT) === 0) break;
      index = control >>> 16;
      if (!(index < entries)) refuse("next", `below ${entries}`, index);
    }
    const bytes = draft.readable + draft.writable;
    if (!(bytes <= CHAIN_MAX)) refuse("the bytes of a chain", "at most 2^32", bytes);
    return draft;
  }

  /** Copies the indirect table at `address`, once: how many descriptors it has. */
  #load(address: number, length: number): number {
    const max = this.#max;
    if (!this.#indirect) refuse("a descriptor", "direct, by the features", "indirect");
    if (!(length > 0 && length % VRING_DESC.size === 0 && length <= max * VRING_DESC.size)) {
      refuse("the bytes of an indirect table", `16 for each of up to ${max}`, length);
    }
    const live = this.#memory.bytes(address, length);
    if (live?.length !== length) refuse("an indirect table", "within guest memory", address);
    if (this.#tableBytes.length < length) {
      this.#table = new Uint32Array(length / 4);
      this.#tableBytes = new Uint8Array(this.#table.buffer);
    }
    this.#tableBytes.set(live);
    return length / VRING_DESC.size;
  }
}
