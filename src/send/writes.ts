/**
 * Zero-copy writes of a connection: each lends its bytes to the kernel, and is over when they are
 * back.
 *
 * @module
 */
import { POLLERR } from "../../ffi/abi/poll.ts";
import { SysError } from "../../ffi/errno.ts";
import { isMapped } from "../../ffi/memory.ts";
import type { Address } from "../address.ts";
import { endError, noteSendError } from "../conn/recv.ts";
import type { AnySocket, ZeroCopySend } from "../socket.ts";
import { pause } from "../wait/pause.ts";
import { limitWait, orAborted, type WaitOptions } from "../wait/waiting.ts";
import { Room } from "./room.ts";

/** What became of the bytes of zero-copy writes, so far. */
export interface ZeroCopyStats {
  /** Bytes that went from the caller's memory. */
  readonly sent: number;
  /** Bytes that were copied after all, by this library or by the kernel. */
  readonly copied: number;
  /** Bytes taken of which it is not known yet; the kernel may read them still. */
  readonly pending: number;
  /** Why all is copied on this connection; `undefined` where it need not be. */
  readonly unsupported: string | undefined;
}

/** The bytes of one write that the kernel has. */
class Loan {
  readonly data: Uint8Array;
  /** Bytes of it when the write began. */
  readonly length: number;
  readonly #mapped: boolean;
  #bytes = 0;
  #back: (() => void) | undefined;

  constructor(data: Uint8Array) {
    this.data = data;
    this.length = data.length;
    this.#mapped = isMapped(data.buffer);
  }

  /** By so many bytes more, or less. */
  change(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes === 0) this.#back?.();
  }

  /** When the kernel has none any more. */
  back(): Promise<void> {
    if (this.#bytes === 0) return Promise.resolve();
    return new Promise((resolve) => this.#back = resolve);
  }

  /** Throws `EFAULT` where the memory may have gone to somebody else. Mapped memory never does. */
  requireKept(): void {
    const { detached } = this.data.buffer as ArrayBuffer; // of whatever realm
    if (detached && !this.#mapped) throw new SysError("send", "EFAULT");
  }

  /** What is left from `taken` on; throws `EFAULT` where it is gone. */
  rest(taken: number): Uint8Array {
    if (this.data.length < this.length) throw new SysError("send", "EFAULT");
    return this.data.subarray(taken, this.length);
  }
}

/** Those of one connected socket. They go one after the other, and are over each by itself. */
export class ZeroCopyWrites implements ZeroCopyStats {
  sent = 0;
  copied = 0;
  pending = 0;
  readonly #socket: AnySocket;
  readonly #peer: Address;
  readonly #onTaken: (bytes: number) => void;
  readonly #sender: ZeroCopySend;
  /** Those whose bytes have not all been taken. */
  #going = 0;
  #last: Promise<void> = Promise.resolve();

  /** `onTaken` gets the number of bytes whenever the socket has taken some. */
  constructor(socket: AnySocket, peer: Address, onTaken: (bytes: number) => void) {
    this.#socket = socket;
    this.#peer = peer;
    this.#onTaken = onTaken;
    this.#sender = socket.zeroCopy ?? copying(socket);
  }

  get unsupported(): string | undefined {
    return this.#sender.unsupported;
  }

  /** Whether one has bytes that have not been taken, so that no other write may come between. */
  get going(): boolean {
    return this.#going > 0;
  }

  /** When all bytes of those that have begun are taken, or will not be; nothing where they are. */
  get rest(): Promise<void> | undefined {
    return this.going ? this.#last : undefined;
  }

  /** Sends all of `data`; settles when the kernel no longer reads any of it, however that came. */
  async write(data: Uint8Array, options: WaitOptions): Promise<number> {
    const loan = new Loan(data);
    try {
      await this.#inTurn(loan, options);
    } finally {
      this.#sender.watch();
      await loan.back();
    }
    if (this.#socket.closed) throw new SysError("send", "EBADF");
    loan.requireKept();
    // Records are none: this is how the connection ended, with the bytes or without.
    if (this.#socket.poll(0) & POLLERR) {
      const errno = endError(this.#socket);
      if (errno !== 0) throw new SysError("send", errno);
    }
    return loan.length;
  }

  async #inTurn(loan: Loan, options: WaitOptions): Promise<void> {
    const before = this.#going++ > 0 ? this.#last : undefined;
    const turn = Promise.withResolvers<void>();
    this.#last = turn.promise;
    try {
      const taken = before === undefined ? this.#push(loan, 0) : 0;
      if (taken === loan.length) return;
      using limit = limitWait("send", options, this.#peer);
      if (before !== undefined) await orAborted(before, limit.signal);
      await this.#pushRest(loan, taken, limit.signal);
    } finally {
      this.#going--;
      if (before === undefined) turn.resolve();
      else before.then(turn.resolve);
    }
  }

  async #pushRest(loan: Loan, taken: number, signal: AbortSignal | undefined): Promise<void> {
    for (let vain = 0; taken < loan.length;) {
      await this.#sender.wait(signal);
      const more = this.#push(loan, taken);
      taken += more;
      if (more > 0) vain = 0;
      else await pause(this.#socket, vain++, signal);
    }
  }

  /** Sends as much as there is room for now, from `start` on: how many bytes. */
  #push(loan: Loan, start: number): number {
    let end = start;
    const done = (bytes: number, copied: boolean): void => {
      if (copied) this.copied += bytes;
      else this.sent += bytes;
      this.pending -= bytes;
      loan.change(-bytes);
    };
    try {
      if (this.#socket.closed) throw new SysError("send", "EBADF");
      do {
        const bytes = this.#sender.send(loan.rest(end), done);
        if (bytes <= 0) break;
        end += bytes;
        this.pending += bytes;
        loan.change(bytes);
        this.#onTaken(bytes);
      } while (end < loan.length);
      return end - start;
    } catch (cause) {
      noteSendError(this.#socket, cause);
      throw cause;
    }
  }
}

/** For sockets without MSG_ZEROCOPY. */
function copying(socket: AnySocket): ZeroCopySend {
  const unsupported = socket.type === "seqpacket"
    ? "messages are copied, so that they go whole or not at all"
    : "there is no MSG_ZEROCOPY: its transport has none, or others may use it on this descriptor";
  const room = new Room(socket);
  return {
    unsupported,
    send(data, done): number {
      const bytes = socket.send(data, 0);
      if (bytes > 0) done(bytes, true);
      return bytes;
    },
    async wait(signal): Promise<void> {
      await room.wait(signal);
    },
    full: false,
    reap: (): number => 0,
    watch(): void {},
  };
}
