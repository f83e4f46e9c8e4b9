/**
 * The receive queue of one connection: packets in order, drained by copying or by mapping.
 *
 * @module
 */
import { VIRTIO_VSOCK_SEQ_EOM, VIRTIO_VSOCK_SEQ_EOR } from "../../ffi/abi/virtio_vsock.ts";
import { USR_HDR_MAX, USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { SysError } from "../../ffi/errno.ts";
import { type Credit, PACKET_OVERHEAD } from "./credit.ts";
import { Fifo } from "./fifo.ts";
import type { Payload } from "./packet.ts";
import { PagePayload } from "./payload.ts";

/** Packets of at most this many bytes are copied behind the last one where it has room. */
const GOOD_COPY_LEN = 128;
/** What small packets are merged into when there are too many of them: most of 8 pages. */
const MAX_COLLAPSE_LEN = 8 * USR_PAGE_SIZE - 512;

/** A run of pages with one packet's bytes, or a part of them, ready to be lent. */
export interface Piece {
  /** How many payload bytes. */
  readonly length: number;
  /** `VIRTIO_VSOCK_SEQ_*` of the packet, only where this is the last piece of it. */
  readonly flags: number;
  /** `length` bytes over the packet's own memory. */
  view(): Uint8Array;
  /** Kills the views. To be called once. */
  release(): void;
}

/**
 * One queued packet, which is its own piece where it gets mapped whole. Its payload is held by the
 * queue and by the piece of it that is mapped.
 */
class Entry implements Piece {
  payload: Payload;
  /** Payload bytes. */
  length: number;
  flags: number;
  /** Bytes already drained. */
  offset = 0;
  /** Gets this packet back once its payload is free. */
  owed: Credit | undefined;
  #holders = 1;

  constructor(payload: Payload, flags: number) {
    this.payload = payload;
    this.length = payload.bytes.length;
    this.flags = flags;
  }

  get mapped(): boolean {
    return this.#holders > 1;
  }

  hold(): void {
    this.#holders++;
  }

  /** Lets go of the payload: the last holder frees it. */
  drop(): void {
    if (--this.#holders > 0) return;
    this.payload.free();
    this.owed?.drained(this.length);
  }

  /** Lets go of a mapped piece: no view of it stays alive, even where the rest is still queued. */
  release(): void {
    if (this.mapped) this.payload.revoke();
    this.drop();
  }

  view(): Uint8Array {
    return this.payload.lend?.(0, this.length) ?? this.payload.bytes;
  }

  /** As `part()`, of bytes that will be copied again: what a peer has in its hands could differ. */
  peek(offset: number, length: number): Uint8Array {
    this.payload.own?.();
    return this.part(offset, length);
  }

  /** `length` bytes at `offset`, to copy from. A user may have taken the buffer away. */
  part(offset: number, length: number): Uint8Array {
    const { bytes } = this.payload;
    if (offset + length > bytes.length) throw new SysError("recv", "EFAULT");
    return length === bytes.length ? bytes : bytes.subarray(offset, offset + length);
  }
}

/** A part of a packet: what came before is drained, or what comes after is still queued. */
class Part implements Piece {
  readonly length: number;
  readonly flags: number;
  readonly #entry: Entry;
  readonly #start: number;

  constructor(entry: Entry, start: number, length: number, flags: number) {
    this.length = length;
    this.flags = flags;
    this.#entry = entry;
    this.#start = start;
  }

  view(): Uint8Array {
    return this.#entry.payload.lend?.(this.#start, this.length) ??
      this.#entry.part(this.#start, this.length);
  }

  release(): void {
    this.#entry.release();
  }
}

/** Pages that `length` bytes take. */
export function pagesOf(length: number): number {
  return Math.ceil(length / USR_PAGE_SIZE);
}

/** A queue of packets that keeps the books of `credit`. */
export class RxQueue {
  /** Bytes that can be read. */
  rxBytes: number = 0;
  /** Payload bytes that have ever been queued, modulo 2^32. */
  received: number = 0;
  /** Whole SEQPACKET messages. */
  msgCount: number = 0;
  readonly #entries: Fifo<Entry> = new Fifo();
  readonly #credit: Credit;

  constructor(credit: Credit) {
    this.#credit = credit;
  }

  /** Packets queued. */
  get length(): number {
    return this.#entries.length;
  }

  /** Queues a packet; `false` where it breaks the credit, and then nothing has changed. */
  push(payload: Payload, flags: number): boolean {
    const credit = this.#credit;
    const len = payload.bytes.length;
    if ((this.length + 1) * PACKET_OVERHEAD > credit.bufAlloc) this.#collapse();
    if (!credit.fits(len, this.length)) return false;
    credit.queued(len);
    this.rxBytes += len;
    this.received = (this.received + len) >>> 0;
    if (flags & VIRTIO_VSOCK_SEQ_EOM) this.msgCount++;
    const { last } = this.#entries;
    if (
      len <= GOOD_COPY_LEN && last !== undefined && !last.mapped &&
      !(last.flags & VIRTIO_VSOCK_SEQ_EOM) && last.payload.append(payload.bytes)
    ) {
      last.length += len;
      last.flags |= flags;
      payload.free();
    } else {
      this.#entries.push(new Entry(payload, flags));
    }
    return true;
  }

  /** Copies stream bytes into `buffer`: how many. */
  read(buffer: Uint8Array): number {
    let total = 0;
    while (total < buffer.length && this.length > 0) {
      const entry = this.#entries.first!;
      const bytes = Math.min(buffer.length - total, entry.length - entry.offset);
      buffer.set(entry.part(entry.offset, bytes), total);
      total += bytes;
      entry.offset += bytes;
      this.rxBytes -= bytes;
      if (entry.offset === entry.length) this.#drain();
    }
    return total;
  }

  /** Copies stream bytes and leaves them queued: how many. */
  peek(buffer: Uint8Array): number {
    let total = 0;
    for (let i = 0; i < this.length && total < buffer.length; i++) {
      const entry = this.#entries.at(i)!;
      const bytes = Math.min(buffer.length - total, entry.length - entry.offset);
      buffer.set(entry.peek(entry.offset, bytes), total);
      total += bytes;
    }
    return total;
  }

  /**
   * Copies one message; bytes past `buffer` are lost unless `peek`. There must be one. Gives its
   * real length, and its flags in `out`.
   */
  message(buffer: Uint8Array, peek: boolean, out: { flags: number }): number {
    let total = 0;
    for (let i = 0;; i++) {
      const entry = this.#entries.at(peek ? i : 0)!;
      const { flags, offset } = entry;
      const rest = entry.length - offset;
      const bytes = Math.min(buffer.length - total, rest);
      if (bytes > 0) {
        buffer.set(peek ? entry.peek(offset, bytes) : entry.part(offset, bytes), total);
      }
      total += rest;
      if (!peek) {
        this.rxBytes -= rest;
        this.#drain();
      }
      if (flags & VIRTIO_VSOCK_SEQ_EOM) {
        if (!peek) this.msgCount--;
        out.flags = flags & VIRTIO_VSOCK_SEQ_EOR;
        return total;
      }
    }
  }

  /**
   * Takes packets out for a mapping with `pages` free data pages, at most 511 of them. A packet
   * larger than the room stays queued with its rest, and its flags with the rest. Where one cannot
   * be taken, those before it are: the next call tells why.
   */
  map(pages: number, into: Piece[]): void {
    let room = pages;
    while (room > 0 && this.length > 0 && into.length < USR_HDR_MAX) {
      let entry: Entry;
      try {
        entry = this.#lendable();
      } catch (error) {
        if (into.length === 0) throw error;
        return;
      }
      const length = Math.min(entry.length - entry.offset, room * USR_PAGE_SIZE);
      into.push(this.#piece(entry, length));
      room -= pagesOf(length);
    }
  }

  /** Frees what nobody will read, and counts it as queued: no credit is given for it. */
  discard(): void {
    for (const entry of this.#entries.clear()) entry.drop();
  }

  /** Drops everything. */
  clear(): void {
    while (this.length > 0) this.#drain();
    this.rxBytes = 0;
    this.msgCount = 0;
  }

  #piece(entry: Entry, length: number): Piece {
    const start = entry.offset;
    const last = start + length === entry.length;
    const flags = last ? entry.flags : 0;
    entry.offset += length;
    this.rxBytes -= length;
    if (last) {
      // The queue's hold becomes the mapping's.
      if (flags & VIRTIO_VSOCK_SEQ_EOM) this.msgCount--;
      if (entry.payload.lend === undefined) this.#credit.drained(entry.length);
      else entry.owed = this.#credit;
      this.#entries.drop();
    } else {
      entry.hold();
    }
    return length === entry.length ? entry : new Part(entry, start, length, flags);
  }

  /** The first packet, which can be lent; if need be what is left of it moves to its own pages. */
  #lendable(): Entry {
    const entry = this.#entries.first!;
    if (entry.offset % USR_PAGE_SIZE === 0 && !entry.payload.pooled) return entry;
    const rest = new PagePayload(entry.part(entry.offset, entry.length - entry.offset));
    const moved = new Entry(rest, entry.flags);
    this.#credit.drained(entry.offset);
    this.#entries.first = moved;
    entry.drop();
    return moved;
  }

  /** The first packet is done with. */
  #drain(): void {
    const entry = this.#entries.first!;
    this.#credit.drained(entry.length);
    entry.drop();
    this.#entries.drop();
  }

  /** Merges small packets, so that many of them cost no more than their bytes. */
  #collapse(): void {
    const kept = this.#entries;
    let run: Entry[] = [];
    let size = 0;
    const flush = (): void => {
      if (run.length === 1) kept.push(run[0]!);
      else if (run.length > 1) kept.push(merge(run, size));
      run = [];
      size = 0;
    };
    for (const entry of kept.clear()) {
      // One that is lent has been read in part.
      const small = entry.offset === 0 && !(entry.flags & VIRTIO_VSOCK_SEQ_EOM) &&
        entry.length < MAX_COLLAPSE_LEN;
      if (!small || size + entry.length > MAX_COLLAPSE_LEN) flush();
      if (small) {
        run.push(entry);
        size += entry.length;
      } else kept.push(entry);
    }
    flush();
  }
}

function merge(run: readonly Entry[], size: number): Entry {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const entry of run) {
    whole.set(entry.part(0, entry.length), at);
    at += entry.length;
    entry.drop();
  }
  return new Entry(new PagePayload(whole), 0);
}
