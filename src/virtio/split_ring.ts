/**
 * The shared words of a split virtqueue, as the device reads and writes them.
 *
 * The driver may write any of them at any time, so each method is one access: who calls it keeps
 * the result, checks it, and does not call again. What orders the two sides (`idx`, `flags`, the
 * events) goes through `Atomics`, which is sequentially consistent: a store is seen before a later
 * load is made. That holds on an ArrayBuffer that another process has mapped, too. Heads,
 * descriptors and used elements are plain; an `idx` that is loaded before, or stored after them,
 * orders these.
 *
 * Memory and CPU are little endian.
 *
 * @module
 */
import {
  VRING_AVAIL,
  VRING_AVAIL_ALIGN_SIZE,
  VRING_DESC,
  VRING_DESC_ALIGN_SIZE,
  VRING_USED_ALIGN_SIZE,
  VRING_USED_ELEM,
} from "../../ffi/abi/virtio_ring.ts";

/** The most descriptors that a split virtqueue has. */
export const QUEUE_SIZE_MAX = 32768;
/** Words of 32 bits of one `struct vring_desc`. */
export const DESC_WORDS: number = VRING_DESC.size / 4;

/** In u16 words, of either ring. */
const [FLAGS, IDX, RING] = [VRING_AVAIL.at.flags / 2, VRING_AVAIL.at.idx / 2, VRING_AVAIL.size / 2];
const ELEM_WORDS = VRING_USED_ELEM.size / 4;

/** How long the three parts of a virtqueue are, in bytes. */
export interface RingBytes {
  /** The descriptor table. */
  readonly desc: number;
  /** The available ring, with `used_event`. */
  readonly avail: number;
  /** The used ring, with `avail_event`. */
  readonly used: number;
}

/**
 * The three parts of a virtqueue, live. Each is aligned in memory: where it has a buffer of its
 * own, only who made that can tell, and an access that is not aligned is not atomic, or ends the
 * process.
 */
export interface RingMemory {
  /** Descriptors: a power of 2 from 1 to 32768. */
  readonly size: number;
  /** The descriptor table; aligned to 16 bytes. */
  readonly desc: Uint8Array;
  /** The available ring, which the driver writes; aligned to 2 bytes. */
  readonly avail: Uint8Array;
  /** The used ring, which the device writes; aligned to 4 bytes. */
  readonly used: Uint8Array;
}

/** How long the parts of a virtqueue of `size` descriptors are. */
export function ringBytes(size: number): RingBytes {
  return {
    desc: VRING_DESC.size * size,
    avail: VRING_AVAIL.size + 2 * size + 2,
    used: VRING_AVAIL.size + VRING_USED_ELEM.size * size + 2,
  };
}

/** One method for each access. Tests put steps of a driver between them. */
export class SplitRing {
  /** Descriptors. */
  readonly size: number;
  /** The descriptor table, live: {@linkcode DESC_WORDS} words each. Each word is read once. */
  readonly desc: Uint32Array;
  readonly #avail: Uint16Array;
  readonly #used: Uint16Array;
  readonly #elements: Uint32Array;

  /**
   * Over `memory`, which is not touched yet.
   *
   * @throws {RangeError} If `size` is none, or if a part is too short or lies at an odd place.
   */
  constructor(memory: RingMemory) {
    const { size, desc, avail, used } = memory;
    if (!(size >= 1 && size <= QUEUE_SIZE_MAX && Number.isInteger(Math.log2(size)))) {
      throw new RangeError(
        `Cannot open a virtqueue: size must be a power of 2 up to ${QUEUE_SIZE_MAX}: ` +
          `current value is ${size}`,
      );
    }
    const bytes = ringBytes(size);
    requirePart("desc", desc, bytes.desc, VRING_DESC_ALIGN_SIZE);
    requirePart("avail", avail, bytes.avail, VRING_AVAIL_ALIGN_SIZE);
    requirePart("used", used, bytes.used, VRING_USED_ALIGN_SIZE);
    this.size = size;
    this.desc = new Uint32Array(desc.buffer, desc.byteOffset, bytes.desc / 4);
    this.#avail = new Uint16Array(avail.buffer, avail.byteOffset, bytes.avail / 2);
    this.#used = new Uint16Array(used.buffer, used.byteOffset, bytes.used / 2);
    this.#elements = new Uint32Array(used.buffer, used.byteOffset, 1 + ELEM_WORDS * size);
  }

  /** `avail.idx`. */
  loadAvailIdx(): number {
    return Atomics.load(this.#avail, IDX);
  }

  /** `avail.flags`: `VRING_AVAIL_F_*`. */
  loadAvailFlags(): number {
    return Atomics.load(this.#avail, FLAGS);
  }

  /** `used_event`. */
  loadUsedEvent(): number {
    return Atomics.load(this.#avail, RING + this.size);
  }

  /** `used.idx`: the device's own word, for where a virtqueue goes on. */
  loadUsedIdx(): number {
    return Atomics.load(this.#used, IDX);
  }

  /** The head that the driver has put at `index`, which wraps. */
  head(index: number): number {
    return this.#avail[RING + (index & (this.size - 1))]!;
  }

  /** Puts a used element at `index`, which wraps. */
  storeUsed(index: number, id: number, len: number): void {
    const at = 1 + (index & (this.size - 1)) * ELEM_WORDS;
    this.#elements[at] = id;
    this.#elements[at + 1] = len;
  }

  /** `used.idx`. */
  storeUsedIdx(idx: number): void {
    Atomics.store(this.#used, IDX, idx);
  }

  /** `used.flags`: `VRING_USED_F_*`. */
  storeUsedFlags(flags: number): void {
    Atomics.store(this.#used, FLAGS, flags);
  }

  /** `avail_event`. */
  storeAvailEvent(idx: number): void {
    Atomics.store(this.#used, RING + this.size * ELEM_WORDS * 2, idx);
  }
}

function requirePart(name: string, part: Uint8Array, length: number, align: number): void {
  if (part.length < length) {
    throw new RangeError(
      `Cannot open a virtqueue: ${name} must have ${length} bytes: current value is ${part.length}`,
    );
  }
  if (part.byteOffset % align === 0) return;
  throw new RangeError(
    `Cannot open a virtqueue: ${name} must be aligned to ${align} bytes: ` +
      `current value is ${part.byteOffset}`,
  );
}
