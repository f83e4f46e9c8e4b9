/**
 * `<linux/tcp.h>`: options of TCP sockets, and zero-copy receive by mapping.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** Option, int 0 or 1: send small segments at once. */
export const TCP_NODELAY = 1;
/** Option, int: largest segment in bytes. */
export const TCP_MAXSEG = 2;
/** Option, int 0 or 1: acknowledge at once, what is pending too; the kernel goes back by itself. */
export const TCP_QUICKACK = 12;
/** Option, int: milliseconds that sent data may stay unacknowledged before the connection ends. */
export const TCP_USER_TIMEOUT = 18;
/** Option, getsockopt(2) only, `struct tcp_zerocopy_receive`: maps what is queued. */
export const TCP_ZEROCOPY_RECEIVE = 35;
/** `flags`: the caller has already unmapped the old pages. */
export const TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT = 1;

/** `struct tcp_zerocopy_receive`: the argument and the answer of `TCP_ZEROCOPY_RECEIVE`. */
export const TCP_ZEROCOPY_RECEIVE_STRUCT: Layout<
  | "address"
  | "length"
  | "recv_skip_hint"
  | "inq"
  | "err"
  | "copybuf_address"
  | "copybuf_len"
  | "flags"
  | "msg_control"
  | "msg_controllen"
  | "msg_flags"
  | "reserved"
> = layout("struct tcp_zerocopy_receive", "linux/tcp.h", {
  address: "u64", // in: start of the mapping
  length: "u32", // in: bytes of it, out: bytes mapped
  recv_skip_hint: "u32", // out: bytes to read(2) first
  inq: "u32", // out: bytes queued
  err: "i32", // out: socket error
  copybuf_address: "u64", // in
  copybuf_len: "i32", // in: bytes, out: bytes used or -errno
  flags: "u32", // in
  msg_control: "u64", // in: cmsg buffer
  msg_controllen: "u64", // in: bytes of it, out: bytes used
  msg_flags: "u32", // in and out
  reserved: "u32", // must be 0
});
const { at, size } = TCP_ZEROCOPY_RECEIVE_STRUCT;

/** A `struct tcp_zerocopy_receive` over its own 64 bytes, used again from call to call. */
export class TcpZerocopyReceive {
  /** The struct itself, to hand to getsockopt(2). */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(size);
  readonly #view: DataView = new DataView(this.bytes.buffer);

  /** Clears all, then asks for `length` bytes to be mapped at `address`. */
  ask(address: number, length: number): void {
    this.bytes.fill(0);
    // In two halves, for which no BigInt is made.
    this.#view.setUint32(at.address, address, true);
    this.#view.setUint32(at.address + 4, address / 2 ** 32, true);
    this.#view.setUint32(at.length, length, true);
  }
  /** Lets the call copy what it cannot map: at most `length` bytes, to `address`. */
  askCopy(address: number, length: number): void {
    this.#view.setBigUint64(at.copybuf_address, BigInt(address), true);
    this.#view.setInt32(at.copybuf_len, length, true);
  }
  /** For callers that unmap the old pages: `TCP_RECEIVE_ZEROCOPY_FLAG_*`. */
  set flags(flags: number) {
    this.#view.setUint32(at.flags, flags, true);
  }
  /** Bytes that the call mapped. */
  get length(): number {
    return this.#view.getUint32(at.length, true);
  }
  /** Bytes that must be read by recv(2) before more can be mapped. */
  get recvSkipHint(): number {
    return this.#view.getUint32(at.recv_skip_hint, true);
  }
  /** Bytes still queued. */
  get inq(): number {
    return this.#view.getUint32(at.inq, true);
  }
  /** The pending socket error, 0 for none. */
  get err(): number {
    return this.#view.getInt32(at.err, true);
  }
  /** Bytes that the call copied, or a negative errno. */
  get copybufLen(): number {
    return this.#view.getInt32(at.copybuf_len, true);
  }
}
