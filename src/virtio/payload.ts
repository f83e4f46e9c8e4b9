/**
 * Payloads in this thread's own memory.
 *
 * @module
 */
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from "../../ffi/abi/virtio_vsock.ts";
import { USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import type { Payload } from "./packet.ts";

/** Starts of pages that nobody maps: reused, since no view of them ever gets out. */
const sparePages: Uint8Array<ArrayBuffer>[] = [];
/** Memory of full packets: reused, since `transfer()` has taken it out of everybody's reach. */
const sparePackets: ArrayBuffer[] = [];
const SPARE_MAX = 64;
/** Packets up to this size leave room behind them, for others that are as small. */
const SMALL = 128;

/**
 * A copy of `data` that will only ever be copied out again. Small ones share a pool of pages, and
 * have room for what comes after.
 */
export class PrivatePayload implements Payload {
  readonly pooled = true;
  bytes: Uint8Array<ArrayBuffer>;

  /** Of `data`; or of as many bytes, all of which the caller writes before anybody reads them. */
  constructor(data: Uint8Array | number) {
    const length = typeof data === "number" ? data : data.length;
    if (length > USR_PAGE_SIZE) {
      this.bytes = memoryFor(data);
      return;
    }
    this.bytes = pageFor(length);
    if (typeof data !== "number") this.bytes.set(data);
  }

  append(data: Uint8Array): boolean {
    const { buffer, length } = this.bytes;
    if (length + data.length > USR_PAGE_SIZE) return false;
    this.bytes = new Uint8Array(buffer, 0, length + data.length);
    this.bytes.set(data, length);
    return true;
  }

  revoke(): void {}

  free(): void {
    if (this.bytes.length > USR_PAGE_SIZE) discard(this.bytes.buffer);
    else if (sparePages.length < SPARE_MAX) sparePages.push(this.bytes);
  }
}

/**
 * A copy of `data` in a buffer of its own, which can be lent: the buffer holds this packet's bytes
 * and zeros, nothing else, and `transfer()` takes it away from whoever still looks at it.
 */
export class PagePayload implements Payload {
  bytes: Uint8Array<ArrayBuffer>;

  /**
   * Of `data`; or of as many bytes, all of which the caller writes. `room` bytes are kept free
   * behind, for `append()`.
   */
  constructor(data: Uint8Array | number, room = 0) {
    if (room === 0) {
      this.bytes = memoryFor(data);
      return;
    }
    const length = typeof data === "number" ? data : data.length;
    this.bytes = new Uint8Array(length + room).subarray(0, length);
    if (typeof data !== "number") this.bytes.set(data);
  }

  append(data: Uint8Array): boolean {
    const end = this.bytes.length + data.length;
    if (end > this.bytes.buffer.byteLength) return false;
    const longer = new Uint8Array(this.bytes.buffer, 0, end);
    longer.set(data, this.bytes.length);
    this.bytes = longer;
    return true;
  }

  revoke(): void {
    const { buffer, length } = this.bytes;
    // A user may have taken the buffer away: then its bytes are theirs, and lost here.
    this.bytes = buffer.detached ? new Uint8Array(0) : new Uint8Array(buffer.transfer(), 0, length);
  }

  free(): void {
    if (!this.bytes.buffer.detached) discard(this.bytes.buffer);
  }
}

/**
 * Memory of this thread for `data`, or for as many bytes, all of which the caller writes: whole
 * pages of its own where it gets mapped.
 */
export function localPayload(data: Uint8Array | number, maps: boolean): Payload {
  if (!maps) return new PrivatePayload(data);
  const length = typeof data === "number" ? data : data.length;
  return new PagePayload(data, length <= SMALL ? USR_PAGE_SIZE - length : 0);
}

/** The first `length` bytes of a page; the view that there was, where that was as long. */
function pageFor(length: number): Uint8Array<ArrayBuffer> {
  const spare = sparePages.pop();
  if (spare?.length === length) return spare;
  return new Uint8Array(spare?.buffer ?? new ArrayBuffer(USR_PAGE_SIZE), 0, length);
}

/** A copy of `data`, or as many bytes of whatever. */
function memoryFor(data: Uint8Array | number): Uint8Array<ArrayBuffer> {
  const length = typeof data === "number" ? data : data.length;
  const spare = length === VIRTIO_VSOCK_MAX_PKT_BUF_SIZE ? sparePackets.pop() : undefined;
  if (typeof data === "number") return new Uint8Array(spare ?? new ArrayBuffer(length));
  if (spare === undefined) return new Uint8Array(data); // slice() of a node:buffer is a view
  const copy = new Uint8Array(spare);
  copy.set(data);
  return copy;
}

/** Takes `buffer` from whoever looks at it, and keeps it for the next packet of its size. */
function discard(buffer: ArrayBuffer): void {
  const full = buffer.byteLength === VIRTIO_VSOCK_MAX_PKT_BUF_SIZE;
  if (full && sparePackets.length < SPARE_MAX) sparePackets.push(buffer.transfer());
  else buffer.transfer(0);
}
