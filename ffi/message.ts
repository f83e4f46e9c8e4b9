/**
 * `struct msghdr` and what it points to, for sendmsg(2) and recvmsg(2).
 *
 * @module
 */
import { MSGHDR } from "./abi/socket.ts";
import { IOVEC } from "./abi/uio.ts";
import { requireArray, requireBytes, requireObject } from "./arguments.ts";
import type { Bytes } from "./symbols.ts";
import { setSize } from "./wide.ts";

/** What else a {@linkcode Message} points to. */
export interface MessageOptions {
  /** `msg_name`: the peer's address, in or out. */
  readonly name?: Bytes;
  /** `msg_control`: control messages, in or out; see `encodeControl()` and `decodeControl()`. */
  readonly control?: Bytes;
}

const { at } = MSGHDR;

/**
 * A `struct msghdr` that keeps what it points to reachable. Addresses are taken anew for each call,
 * so a buffer may be replaced between calls, and one that was detached is one of no bytes.
 */
export class Message {
  /** The struct itself; its pointers are good between `fill()` and `settle()` only. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(MSGHDR.size);
  /** `msg_iov`: as many as there were at first, each may be replaced. */
  readonly buffers: Bytes[];
  readonly #view: DataView = new DataView(this.bytes.buffer);
  readonly #iov: DataView<ArrayBuffer>;
  readonly #name: Bytes | undefined;
  readonly #control: Bytes | undefined;
  #flags = 0;
  #nameLength = 0;
  #controlLength = 0;

  /** Over `buffers`, in order. */
  constructor(buffers: readonly Bytes[], options: MessageOptions = {}) {
    requireArray("buffers", buffers);
    requireObject("options", options);
    const { name, control } = options;
    this.buffers = [...buffers];
    this.#iov = new DataView(new ArrayBuffer(buffers.length * IOVEC.size));
    this.#name = name;
    this.#control = control;
  }

  /** `msg_flags` that the last recvmsg(2) left: `MSG_EOR`, `MSG_TRUNC`, `MSG_CTRUNC`, ... */
  get flags(): number {
    return this.#flags;
  }

  /** Bytes of `name` that the last recvmsg(2) wanted to fill. */
  get nameLength(): number {
    return this.#nameLength;
  }

  /** Bytes of `control` that the last recvmsg(2) filled. */
  get controlLength(): number {
    return this.#controlLength;
  }

  /** Before the call: addresses and lengths, as they are now. */
  fill(pointerOf: (view: ArrayBufferView) => number): void {
    const nameLength = this.#name === undefined ? 0 : requireBytes("name", this.#name);
    const room = this.#control === undefined ? 0 : requireBytes("control", this.#control);
    const count = this.#iov.byteLength / IOVEC.size;
    for (let index = 0; index < count; index++) {
      const buffer = this.buffers[index] as Bytes;
      const length = requireBytes("buffers", buffer);
      const start = index * IOVEC.size;
      setSize(this.#iov, start + IOVEC.at.iov_base, length === 0 ? 0 : pointerOf(buffer));
      setSize(this.#iov, start + IOVEC.at.iov_len, length);
    }
    setSize(this.#view, at.msg_iov, count === 0 ? 0 : pointerOf(this.#iov));
    setSize(this.#view, at.msg_iovlen, count);
    setSize(this.#view, at.msg_name, nameLength === 0 ? 0 : pointerOf(this.#name!));
    this.#view.setUint32(at.msg_namelen, nameLength, true);
    setSize(this.#view, at.msg_control, room === 0 ? 0 : pointerOf(this.#control!));
    setSize(this.#view, at.msg_controllen, room);
    this.#view.setInt32(at.msg_flags, 0, true);
  }

  /** After the call: what it left. Until here all of it is in use and so reachable. */
  settle(): void {
    this.#flags = this.#view.getInt32(at.msg_flags, true);
    this.#nameLength = this.#view.getUint32(at.msg_namelen, true);
    this.#controlLength = this.#view.getUint32(at.msg_controllen, true);
  }
}
