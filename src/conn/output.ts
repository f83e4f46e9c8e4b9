/**
 * The sending half of a connection: one write at a time, tried before it waits.
 *
 * @module
 */
import { MSG_EOR } from "../../ffi/abi/socket.ts";
import type { Address } from "../address.ts";
import { requireObject } from "../arguments.ts";
import { toVsockError, VsockError } from "../error.ts";
import { Room } from "../send/room.ts";
import { type ZeroCopyStats, ZeroCopyWrites } from "../send/writes.ts";
import type { AnySocket } from "../socket.ts";
import { pause } from "../wait/pause.ts";
import { limitWait, requireWaitOptions, type WaitOptions } from "../wait/waiting.ts";
import { requireKept, requireSeqpacket, requireUint8Array } from "./arguments.ts";
import { noteSendError } from "./recv.ts";

/** For `Conn.sendMessage()`. */
export interface SendMessageOptions extends WaitOptions {
  /** Sends it as the end of a record, `MSG_EOR`, which AF_UNIX does not carry. @default {false} */
  readonly endOfRecord?: boolean | undefined;
}

/** For `Conn.write()`. */
export interface WriteOptions extends WaitOptions {
  /**
   * Sends from the caller's memory where that can be, `MSG_ZEROCOPY`: see `Conn.write()`.
   * @default {false}
   */
  readonly zeroCopy?: boolean | undefined;
}

/** Writes of one connected socket. */
export class Output {
  /** Bytes that the socket has taken. */
  bytes = 0;
  readonly #socket: AnySocket;
  readonly #peer: Address;
  #zeroCopy: ZeroCopyWrites | undefined;
  #pending = false;
  /** Settles with the write that is pending, whatever becomes of it. */
  #rest: Promise<unknown> | undefined;
  #ended = false;

  /** Of a socket that stays its caller's; `peer` is for errors. */
  constructor(socket: AnySocket, peer: Address) {
    this.#socket = socket;
    this.#peer = peer;
  }

  /** What became of the zero-copy writes. */
  get zeroCopy(): ZeroCopyStats {
    return this.#lender();
  }

  /** Made on first use: it takes the error queue over. */
  #lender(): ZeroCopyWrites {
    const onTaken = (bytes: number): void => void (this.bytes += bytes);
    return this.#zeroCopy ??= new ZeroCopyWrites(this.#socket, this.#peer, onTaken);
  }

  /** send(2) until all of `p` is taken, with poll(2) between. */
  write(p: Uint8Array, flags: number, options: WriteOptions | undefined): Promise<number> {
    let bytes: Uint8Array;
    let taken: number;
    let length: number;
    try {
      let zeroCopy = false;
      if (options !== undefined) {
        requireWaitOptions(options);
        zeroCopy = options.zeroCopy === true;
      }
      bytes = requireUint8Array("write p", p);
      if (this.#ended && !this.#socket.closed) {
        throw new VsockError("send", "EPIPE", { address: this.#peer });
      }
      if (this.#pending || (this.#zeroCopy?.going && !zeroCopy)) {
        throw new VsockError("send", "EBUSY", { address: this.#peer });
      }
      if (zeroCopy) return this.#lend(bytes, options ?? {});
      length = bytes.length; // another thread may make it longer: that is not for this call
      taken = this.#send(bytes, flags);
    } catch (cause) {
      return Promise.reject(toVsockError("send", cause, this.#peer));
    }
    if (taken > 0) this.bytes += taken;
    if (taken >= length) return this.#socket.turns.give(taken);
    const rest = this.#writeRest(bytes, length, Math.max(taken, 0), flags, options);
    this.#rest = rest.catch(() => {});
    return rest;
  }

  /** No write begins any more: what the socket has yet to take of those that have, or nothing. */
  end(): Promise<unknown> | undefined {
    this.#ended = true;
    return this.#pending ? this.#rest : this.#zeroCopy?.rest;
  }

  async #lend(bytes: Uint8Array, options: WriteOptions): Promise<number> {
    try {
      return await this.#lender().write(bytes, options);
    } catch (cause) {
      throw toVsockError("send", cause, this.#peer);
    }
  }

  /** send(2) of one message, whole or not at all. */
  async sendMessage(data: Uint8Array, options: SendMessageOptions | undefined): Promise<void> {
    requireSeqpacket("send", this.#socket);
    if (options !== undefined) requireObject("options", options);
    const { endOfRecord, signal, timeoutMs } = options ?? {}; // and not zeroCopy: no flags there
    const bytes = requireUint8Array("send data", data);
    if (bytes.length === 0) {
      throw new RangeError("Cannot send data: must have a byte: current value is 0 bytes");
    }
    if (options === undefined) return void await this.write(bytes, 0, options);
    await this.write(bytes, endOfRecord ? MSG_EOR : 0, { signal, timeoutMs });
  }

  #send(bytes: Uint8Array, flags: number): number {
    try {
      return this.#socket.send(bytes, flags);
    } catch (cause) {
      noteSendError(this.#socket, cause);
      throw cause;
    }
  }

  async #writeRest(
    bytes: Uint8Array,
    length: number,
    taken: number,
    flags: number,
    options: WaitOptions | undefined,
  ): Promise<number> {
    this.#pending = true;
    try {
      using limit = limitWait("send", options, this.#peer);
      const room = new Room(this.#socket);
      for (let vain = 0; taken < length;) {
        const ready = await room.wait(limit.signal);
        requireKept("write p", bytes, length);
        const n = this.#send(bytes.subarray(taken, length), flags);
        if (n > 0) {
          this.bytes += n;
          taken += n;
          vain = 0;
        } else if (ready) {
          await pause(this.#socket, vain++, limit.signal);
        }
      }
      return await this.#socket.turns.give(taken);
    } catch (cause) {
      throw toVsockError("send", cause, this.#peer);
    } finally {
      this.#pending = false;
    }
  }
}
