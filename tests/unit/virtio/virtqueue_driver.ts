/** The driver's side of a split virtqueue, as Linux's `virtio_ring.c` has it: a model for tests. */
import {
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  vring_need_event,
  VRING_USED_F_NO_NOTIFY,
} from "../../../ffi/abi/virtio_ring.ts";
import type { Segment } from "../../../src/virtio/chain.ts";
import { ringBytes, type RingMemory } from "../../../src/virtio/split_ring.ts";

const U16 = 0xffff;
const DESC_SIZE = 16;

export interface DriverOptions extends RingMemory {
  readonly eventIdx: boolean;
  /** Where both indices begin. @default {0} */
  readonly base?: number;
  /** Room for indirect tables, `size` descriptors for each head, and its guest-physical address. */
  readonly tables?: { readonly bytes: Uint8Array; readonly address: number };
}

/** What the device has given back. */
export interface Used {
  readonly head: number;
  /** Bytes that it says to have written. */
  readonly length: number;
}

/** The three parts of a virtqueue, from `offset` of `memory` on; `end` is the first byte behind. */
export function ringIn(memory: Uint8Array, size: number, offset = 0): RingMemory & { end: number } {
  const bytes = ringBytes(size);
  const avail = offset + bytes.desc;
  const used = Math.ceil((avail + bytes.avail) / 4) * 4;
  const end = used + bytes.used;
  return {
    size,
    desc: memory.subarray(offset, avail),
    avail: memory.subarray(avail, avail + bytes.avail),
    used: memory.subarray(used, end),
    end,
  };
}

/**
 * Each method but `add()`, `getUsed()` and `enableCalls()` is at most one access to a shared index.
 */
export class Driver {
  readonly size: number;
  readonly #options: DriverOptions;
  readonly #desc: DataView;
  readonly #avail: Uint16Array;
  readonly #used: Uint16Array;
  readonly #elements: Uint32Array;
  readonly #free: number[];
  /** By head: the descriptors that the chain takes. */
  readonly #chains = new Map<number, readonly number[]>();
  #availIdx: number;
  /** Chains that were staged, and are not available yet. */
  #added = 0;
  /** Chains that are available, and were not kicked for. */
  #unkicked = 0;
  #lastUsed: number;

  /** Sets the indices to `base`. */
  constructor(options: DriverOptions) {
    const { size, desc, avail, used, base = 0 } = options;
    this.#options = options;
    this.size = size;
    this.#desc = view(desc);
    this.#avail = new Uint16Array(avail.buffer, avail.byteOffset, avail.length / 2);
    this.#used = new Uint16Array(used.buffer, used.byteOffset, used.length / 2);
    this.#elements = new Uint32Array(used.buffer, used.byteOffset, 1 + 2 * size);
    this.#free = Array.from({ length: size }, (_, index) => index);
    this.#availIdx = this.#lastUsed = base;
    for (const ring of [this.#avail, this.#used]) {
      Atomics.store(ring, 0, 0);
      Atomics.store(ring, 1, base);
    }
  }

  /** Descriptors that are free. */
  get free(): number {
    return this.#free.length;
  }

  /** Chains that the device has not given back. */
  get outstanding(): number {
    return this.#chains.size;
  }

  /** `stage()` and `publish()`. */
  add(segments: readonly Segment[], indirect = false): number | undefined {
    const head = this.stage(segments, indirect);
    if (head !== undefined) this.publish();
    return head;
  }

  /**
   * Writes a chain, and its head into the ring: its head, or `undefined` where there is no room.
   */
  stage(segments: readonly Segment[], indirect = false): number | undefined {
    const count = indirect ? 1 : segments.length;
    if (count > this.#free.length) return undefined;
    const taken = this.#free.splice(0, count);
    const head = taken[0]!;
    if (indirect) this.#stageTable(head, segments);
    else this.#write(this.#desc, segments, taken);
    this.#chains.set(head, taken);
    const slot = (this.#availIdx + this.#added) & (this.size - 1);
    this.#avail[2 + slot] = head;
    this.#added++;
    return head;
  }

  /** Makes available what was staged. */
  publish(): void {
    this.#availIdx = (this.#availIdx + this.#added) & U16;
    this.#unkicked += this.#added;
    this.#added = 0;
    Atomics.store(this.#avail, 1, this.#availIdx);
  }

  /** Whether the device has to be kicked for what was published since this was asked last. */
  kickNeeded(): boolean {
    const old = (this.#availIdx - this.#unkicked) & U16;
    this.#unkicked = 0;
    if (!this.#options.eventIdx) {
      return (Atomics.load(this.#used, 0) & VRING_USED_F_NO_NOTIFY) === 0;
    }
    const event = Atomics.load(this.#used, 2 + 4 * this.size);
    return vring_need_event(event, this.#availIdx, old);
  }

  /** Whether `getUsed()` has something. */
  hasUsed(): boolean {
    return Atomics.load(this.#used, 1) !== this.#lastUsed;
  }

  /** What the device gave back next; an Error where it has not been given that. */
  getUsed(): Used | undefined {
    if (!this.hasUsed()) return undefined;
    const at = 1 + 2 * (this.#lastUsed & (this.size - 1));
    const [head, length] = [this.#elements[at]!, this.#elements[at + 1]!];
    const taken = this.#chains.get(head);
    if (taken === undefined) throw new Error(`${head} was given back, and was not available`);
    this.#chains.delete(head);
    this.#free.push(...taken);
    this.#lastUsed = (this.#lastUsed + 1) & U16;
    return { head, length };
  }

  /** Asks for no calls. By index there is nothing to do: an index that has passed is past. */
  disableCalls(): void {
    if (!this.#options.eventIdx) Atomics.store(this.#avail, 0, VRING_AVAIL_F_NO_INTERRUPT);
  }

  /** Asks for a call with the next used chain. */
  allowCalls(): void {
    if (this.#options.eventIdx) Atomics.store(this.#avail, 2 + this.size, this.#lastUsed);
    else Atomics.store(this.#avail, 0, 0);
  }

  /** Asks for a call with the next used chain: `true` where there is one already. */
  enableCalls(): boolean {
    this.allowCalls();
    return this.hasUsed();
  }

  #stageTable(head: number, segments: readonly Segment[]): void {
    const { tables } = this.#options;
    if (tables === undefined) throw new Error("no room for indirect tables");
    const [at, length] = [head * this.size * DESC_SIZE, segments.length * DESC_SIZE];
    const entries = Array.from(segments, (_, index) => index);
    this.#write(view(tables.bytes.subarray(at, at + length)), segments, entries);
    writeDesc(this.#desc, head, tables.address + at, length, VRING_DESC_F_INDIRECT, 0);
  }

  #write(table: DataView, segments: readonly Segment[], indices: readonly number[]): void {
    segments.forEach(({ address, length, writable }, at) => {
      const next = indices[at + 1];
      const flags = (writable ? VRING_DESC_F_WRITE : 0) |
        (next === undefined ? 0 : VRING_DESC_F_NEXT);
      writeDesc(table, indices[at]!, address, length, flags, next ?? 0);
    });
  }
}

/** Writes a `struct vring_desc`, whatever it says. */
export function writeDesc(
  table: DataView,
  index: number,
  addr: number | bigint,
  len: number,
  flags: number,
  next: number,
): void {
  const at = index * DESC_SIZE;
  table.setBigUint64(at, BigInt(addr), true);
  table.setUint32(at + 8, len, true);
  table.setUint16(at + 12, flags, true);
  table.setUint16(at + 14, next, true);
}

/** A DataView over `bytes`. */
export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
