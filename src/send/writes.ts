/**
 * Zero-copy writes of a connection: each lends its bytes to the kernel, and is over when they are
 * back.
 *
 * @module
 */
import { POLLERR, POLLOUT } from "../../ffi/abi/poll.ts";
import { SysError } from "../../ffi/errno.ts";
import { isMapped } from "../../ffi/memory.ts";
import type { Address } from "../address.ts";
import { VsockError } from "../error.ts";
import { endError, noteSendError } from "../recv.ts";
import type { AnySocket, ZeroCopySend } from "../socket.ts";
import { limitWait, pause, type WaitOptions } from "../waiting.ts";

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
  readonly buffer: ArrayBufferLike;
  readonly #mapped: boolean;
  #bytes = 0;
  #back: (() => void) | undefined;

  constructor(data: Uint8Array) {
    this.buffer = data.buffer;
    this.#mapped = isMapped(data.buffer);
  }

  /** By so many bytes more, or less. */
  change(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes === 0) this.#back?.();
  }

  get bytes(): number {
    return this.#bytes;
  }

  back(): Promise<void> {
    if (this.#bytes === 0) return Promise.resolve();
    return new Promise((resolve) => this.#back = resolve);
  }

  /** Whether the memory has gone to somebody else meanwhile. That of mapped regions never does. */
  get stolen(): boolean {
    return !this.#mapped && this.buffer instanceof ArrayBuffer && this.buffer.detached;
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

  /** Sends all of `p`; settles when the kernel no longer reads any of it, however that came. */
  async write(p: Uint8Array, options: WaitOptions): Promise<number> {
    const loan = new Loan(p);
    try {
      await this.#inTurn(p, loan, options);
    } finally {
      this.#sender.watch();
      await loan.back();
    }
    if (this.#socket.closed) throw new SysError("send", "EBADF");
    if (loan.stolen) throw new VsockError("send", "EFAULT", { address: this.#peer });
    // Records are none: this is how the connection ended, with the bytes or without.
    if (this.#socket.poll(0) & POLLERR) {
      const errno = endError(this.#socket);
      if (errno !== 0) throw new SysError("send", errno);
    }
    return p.length;
  }

  async #inTurn(p: Uint8Array, loan: Loan, options: WaitOptions): Promise<void> {
    const before = this.#going++ > 0 ? this.#last : undefined;
    const turn = Promise.withResolvers<void>();
    this.#last = turn.promise;
    try {
      const taken = before === undefined ? this.#push(p, loan) : 0;
      if (taken === p.length) return;
      using limit = limitWait("send", options, this.#peer);
      if (before !== undefined) await orAborted(before, limit.signal);
      await this.#pushRest(p.subarray(taken), loan, before === undefined, limit.signal);
    } finally {
      this.#going--;
      if (before === undefined) turn.resolve();
      else before.then(turn.resolve);
    }
  }

  async #pushRest(
    rest: Uint8Array,
    loan: Loan,
    tried: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (let vain = 0; rest.length > 0; tried = true) {
      if (tried) await this.#sender.wait(signal);
      const taken = this.#push(rest, loan);
      rest = rest.subarray(taken);
      if (taken > 0) vain = 0;
      else if (tried) await pause(this.#socket, vain++, signal);
    }
  }

  /** Sends as much of `p` as there is room for now: how many bytes. */
  #push(p: Uint8Array, loan: Loan): number {
    let taken = 0;
    const done = (bytes: number, copied: boolean): void => {
      if (copied) this.copied += bytes;
      else this.sent += bytes;
      this.pending -= bytes;
      loan.change(-bytes);
    };
    try {
      do {
        const bytes = this.#sender.send(taken === 0 ? p : p.subarray(taken), done);
        if (bytes <= 0) break;
        taken += bytes;
        this.pending += bytes;
        loan.change(bytes);
        this.#onTaken(bytes);
      } while (taken < p.length);
      return taken;
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
    : "this transport has no MSG_ZEROCOPY";
  return {
    unsupported,
    send(data, done): number {
      const bytes = socket.send(data, 0);
      if (bytes > 0) done(bytes, true);
      return bytes;
    },
    async wait(signal): Promise<void> {
      await socket.wait(POLLOUT, signal);
    },
    reap: (): number => 0,
    watch(): void {},
  };
}

function orAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
