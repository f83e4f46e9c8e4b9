/**
 * The batch over any source: views are made when first asked for, and none outlives the release.
 *
 * @module
 */
import { VIRTIO_VSOCK_SEQ_EOM, VIRTIO_VSOCK_SEQ_EOR } from "../../ffi/abi/virtio_vsock.ts";
import { toVsockError } from "../error.ts";
import type { Batch, Packet } from "./batch.ts";
import type { UsrHeaders } from "./usr_hdr.ts";

/** Whose bytes a batch lends: the way that filled it. */
export interface Lender {
  /** See {@linkcode Batch.volatile}. */
  readonly volatile: boolean;
  /** `length` bytes from the start of data page `page`, both as in the batch's headers. */
  lend(page: number, length: number): Uint8Array;
  /** Kills every view that `lend()` gave, then takes the memory back. */
  reclaim(): void;
}

/**
 * A batch over the headers that its lender has just read. They are read until the release and not
 * later, so the lender may use them again then. A view is made when `data` is first read.
 */
export class LentBatch implements Batch {
  readonly byteLength: number;
  readonly pages: number;
  readonly packetCount: number;
  readonly mapped: boolean;
  readonly mappedBytes: number;
  readonly volatile: boolean;
  readonly #headers: UsrHeaders;
  #lender: Lender | undefined;
  #packets: LentPacket[] = [];

  /** `headers` describe what `lender` lends from now on. */
  constructor(headers: UsrHeaders, lender: Lender) {
    this.byteLength = headers.byteLength;
    this.pages = headers.pages;
    this.packetCount = headers.count;
    this.mapped = headers.mappedBytes > 0;
    this.mappedBytes = headers.mappedBytes;
    this.volatile = lender.volatile;
    this.#headers = headers;
    this.#lender = lender;
  }

  /** Puts `wrap(lender)` in the place of its lender, before anything is lent. */
  interpose(wrap: (lender: Lender) => Lender): void {
    this.#lender = wrap(requireHeld(this.#lender, "interpose"));
  }

  get released(): boolean {
    return this.#lender === undefined;
  }

  [Symbol.iterator](): Iterator<Packet, void, void> {
    return new PacketIterator(this);
  }

  /** Packet `index`, the same object each time; `undefined` past the last. */
  packet(index: number): Packet | undefined {
    requireHeld(this.#lender, "read batch");
    if (index >= this.packetCount) return undefined;
    const { lengths, flags } = this.#headers;
    return this.#packets[index] ??= new LentPacket(this, index, lengths[index]!, flags[index]!);
  }

  /** Lends the bytes of packet `index`. */
  lend(index: number): Uint8Array {
    const lender = requireHeld(this.#lender, "read packet data");
    try {
      return lender.lend(this.#headers.firstPages[index]!, this.#headers.lengths[index]!);
    } catch (cause) {
      throw toVsockError("recv", cause);
    }
  }

  release(): void {
    requireHeld(this.#lender, "release batch");
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    const lender = this.#lender;
    this.#lender = undefined;
    this.#packets = [];
    lender?.reclaim();
  }
}

/** A generator would do, at twice the cost of a view. */
class PacketIterator implements Iterator<Packet, void, void> {
  readonly #batch: LentBatch;
  #index = 0;

  constructor(batch: LentBatch) {
    this.#batch = batch;
  }

  next(): IteratorResult<Packet, void> {
    const value = this.#batch.packet(this.#index++);
    return value === undefined ? { done: true, value } : { done: false, value };
  }
}

class LentPacket implements Packet {
  readonly byteLength: number;
  readonly flags: number;
  readonly #batch: LentBatch;
  readonly #index: number;
  #data: Uint8Array | undefined;

  constructor(batch: LentBatch, index: number, byteLength: number, flags: number) {
    this.#batch = batch;
    this.#index = index;
    this.byteLength = byteLength;
    this.flags = flags;
  }

  get data(): Uint8Array {
    if (this.#data === undefined || this.#batch.released) {
      this.#data = this.#batch.lend(this.#index);
    }
    return this.#data;
  }

  get endOfMessage(): boolean {
    return (this.flags & VIRTIO_VSOCK_SEQ_EOM) !== 0;
  }

  get endOfRecord(): boolean {
    return this.endOfMessage && (this.flags & VIRTIO_VSOCK_SEQ_EOR) !== 0;
  }
}

function requireHeld(lender: Lender | undefined, verb: string): Lender {
  if (lender === undefined) {
    throw new TypeError(`Cannot ${verb}: must be held: current value is a released batch`);
  }
  return lender;
}
