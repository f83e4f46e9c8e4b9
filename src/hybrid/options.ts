/**
 * The options of level `AF_VSOCK` of a socket that AF_UNIX carries.
 *
 * @module
 */
import { SO_SNDBUF, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { encodeTimeval } from "../../ffi/abi/time.ts";
import {
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD,
} from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { readTimeval, readU64, u64 } from "../option_bytes.ts";
import type { AnySocket } from "../socket.ts";

/** The socket that carries the bytes. */
export type Below = Pick<AnySocket, "setsockopt">;

const INT_MAX = 2 ** 31 - 1;

/**
 * Buffer sizes within their bounds, and the time that a connect may take.
 *
 * AF_UNIX has one buffer for each direction, the sender's: so the buffer size is what this end may
 * have on the way, not what its peer may.
 */
export class HybridOptionValues {
  /** Milliseconds. */
  timeoutMs: number;
  readonly #defaultMs: number;
  #size = 262_144;
  #min = 128;
  #max = 262_144;

  /** Those of a fresh socket; or, `from` a listener, those of a connection that it accepts. */
  constructor(defaultMs: number, from?: HybridOptionValues) {
    this.#defaultMs = defaultMs;
    this.timeoutMs = from?.timeoutMs ?? defaultMs;
    if (from === undefined) return;
    [this.#size, this.#min, this.#max] = [from.#size, from.#min, from.#max];
  }

  /** getsockopt(2). */
  get(name: number, value: Uint8Array): number {
    const out = this.#encode(name);
    if (value.length < out.length) throw new SysError("getsockopt", "EINVAL");
    value.set(out);
    return out.length;
  }

  #encode(name: number): Uint8Array {
    switch (name) {
      case SO_VM_SOCKETS_BUFFER_SIZE:
        return u64(this.#size);
      case SO_VM_SOCKETS_BUFFER_MIN_SIZE:
        return u64(this.#min);
      case SO_VM_SOCKETS_BUFFER_MAX_SIZE:
        return u64(this.#max);
      case SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD:
      case SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW:
        return encodeTimeval(this.timeoutMs);
      default:
        throw new SysError("getsockopt", "ENOPROTOOPT");
    }
  }

  /** setsockopt(2); the size goes on to the socket below. */
  set(name: number, value: Uint8Array, below: Below): void {
    switch (name) {
      case SO_VM_SOCKETS_BUFFER_SIZE:
        return this.#resize(readU64(value), below);
      case SO_VM_SOCKETS_BUFFER_MIN_SIZE:
        this.#min = readU64(value);
        return this.#resize(this.#size, below);
      case SO_VM_SOCKETS_BUFFER_MAX_SIZE:
        this.#max = readU64(value);
        return this.#resize(this.#size, below);
      case SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD:
      case SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW:
        this.timeoutMs = readTimeval(value) || this.#defaultMs;
        return;
      default:
        throw new SysError("setsockopt", "ENOPROTOOPT");
    }
  }

  #resize(wanted: number, below: Below): void {
    const size = Math.min(Math.max(wanted, this.#min), this.#max);
    if (size === this.#size) return;
    this.#size = size;
    this.apply(below);
  }

  /**
   * Gives the socket below its buffer, or as much as `net.core.wmem_max` allows. Twice the size, as
   * AF_UNIX is writable only when three quarters are free: a sender that waits for that is to find
   * its reader still busy.
   */
  apply(below: Below): void {
    const bytes = Int32Array.of(Math.min(2 * this.#size, INT_MAX));
    below.setsockopt(SOL_SOCKET, SO_SNDBUF, new Uint8Array(bytes.buffer));
  }
}
