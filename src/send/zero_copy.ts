/**
 * Sends from the caller's own memory: MSG_ZEROCOPY of TCP and AF_VSOCK.
 *
 * The kernel takes references to the pages that it is given and reads them later: when it sends,
 * and again when it sends anew; over vsock_loopback, when the peer reads. It tells by the error
 * queue of the socket when it has done. Until then the bytes must stay what they are, or the peer
 * gets others, of whoever has that memory then. So each send is kept reachable here until its
 * record has come, whatever becomes of the socket: what closes stays open underneath until then,
 * since nobody can read the error queue of a descriptor that is gone.
 *
 * @module
 */
import { SO_LINGER, SO_ZEROCOPY, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, MSG_ZEROCOPY } from "../../ffi/abi/socket.ts";
import { SysError } from "../../ffi/errno.ts";
import { send, setsockopt } from "../../ffi/libc.ts";
import { plainView } from "../../ffi/view.ts";
import { pollSlice } from "../kernel/poll.ts";
import { type Hold, reactor } from "../kernel/reactor.ts";
import { WOULD_BLOCK, type ZeroCopySend } from "../socket.ts";
import { takeErrorRecord } from "./error_queue.ts";
import { type Done, InFlight } from "./in_flight.ts";
import { Backoff } from "./backoff.ts";

/** Less is copied: cheaper than to lend a whole page, and to read the record of its end. */
const LEAST_BYTES = 4_096;
const FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT;

/** How long a Worker that ends waits for the kernel at most, in milliseconds. */
const LAST_MS = 1_000;

/** No record, and none to come. */
const NEVER = -1;

/** Those with sends under way, so that their memory stays reachable. */
const busy: Set<MsgZeroCopy> = new Set();

/** This Worker ends: waits for the kernel, for a second at most, then resets what is under way. */
export function endSends(): void {
  const end = performance.now() + LAST_MS;
  for (const sender of busy) sender.end(end);
}

/** What a socket's zero-copy half needs of it. */
export interface SendingSocket {
  /** The descriptor. */
  readonly fd: number;
  /** The most bytes for one send(2). */
  readonly mostBytes: number;
  /** Whether what is taken in part is copied. */
  readonly copiesParts: boolean;
  /** Whether waits keep the process alive. */
  readonly waits: Hold;
  /** Waits until send(2) may take more, or there is an error to learn from it. */
  waitRoom(signal: AbortSignal | undefined): Promise<unknown>;
  /** Closes the descriptor at once, and the socket with it. */
  closeFd(): void;
}

/** The MSG_ZEROCOPY sends of one STREAM socket. */
export class MsgZeroCopy implements ZeroCopySend {
  readonly #socket: SendingSocket;
  readonly #inFlight: InFlight = new InFlight();
  readonly #waiters: Set<() => void> = new Set();
  #unsupported: string | undefined;
  #asked = false;
  /** Whether the kernel was ever lent something, as of which alone there are records. */
  #lent = false;
  #full = false;
  #watching = false;
  /** Ends the wait for records that goes on: none is to come. */
  #over: AbortController | undefined;
  #closed = false;
  /** Whether the descriptor is gone, whatever was under way. */
  #gone = false;

  /** Of `socket`, of which nobody else sends with MSG_ZEROCOPY, and nobody has. */
  constructor(socket: SendingSocket) {
    this.#socket = socket;
  }

  /** How many sends the kernel has not done with. */
  get size(): number {
    return this.#inFlight.size;
  }

  get unsupported(): string | undefined {
    if (this.#asked || this.#closed) return this.#unsupported;
    this.#asked = true;
    try {
      // Without it the kernel copies, says nothing, and sends no record.
      setsockopt(this.#socket.fd, SOL_SOCKET, SO_ZEROCOPY, Int32Array.of(1));
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#unsupported = `the kernel refuses SO_ZEROCOPY here: ${error.code}`;
    }
    return this.#unsupported;
  }

  /** Somebody has set SO_ZEROCOPY, maybe to 0. */
  askAgain(): void {
    if (this.#unsupported === undefined) this.#asked = false;
  }

  send(data: Uint8Array, done: Done): number {
    if (this.#closed) throw new SysError("send", "EBADF");
    if (data.length < LEAST_BYTES || this.unsupported !== undefined) return this.#copy(data, done);
    const { fd, mostBytes, copiesParts } = this.#socket;
    // Cutting a view has its engine make the buffer in which the bytes stay.
    const part = plainView(data).subarray(0, mostBytes);
    for (;;) {
      try {
        const sent = send(fd, part, FLAGS | MSG_ZEROCOPY);
        if (sent > 0) {
          this.#inFlight.add(part, sent, done, copiesParts && sent < part.length);
          this.#lent = true;
          busy.add(this);
        }
        return sent;
      } catch (error) {
        if (!isFull(error)) throw error;
      }
      // Records that nobody has read yet count against the limit too.
      if (this.reap() > 0) continue;
      if (this.size === 0) return this.#copy(part, done);
      this.#full = true;
      return WOULD_BLOCK;
    }
  }

  #copy(data: Uint8Array, done: Done): number {
    const sent = send(this.#socket.fd, data, FLAGS);
    if (sent > 0) done(sent, true);
    return sent;
  }

  async wait(signal?: AbortSignal): Promise<void> {
    if (this.#full) await this.#nextRecord(signal);
    else await this.#socket.waitRoom(signal);
  }

  /** Waits for a record, which tells that there is room, or for another reason to try again. */
  #nextRecord(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => reject(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiters.add(resolve);
    this.watch();
    return promise.finally(() => {
      this.#waiters.delete(resolve);
      signal?.removeEventListener("abort", abort);
    });
  }

  get full(): boolean {
    return this.#full;
  }

  reap(timeoutMs = 0): number {
    // AF_VSOCK before Linux 6.7, asked for an error queue, may say what recv(2) would, as in 5.10.
    if (!this.#lent) return 0;
    // The number may be somebody else's.
    if (this.#gone || this.#closed && this.size === 0) return 0;
    const records = this.#reap();
    if (records > 0 || timeoutMs === 0 || this.size === 0) return records;
    pollSlice(this.#socket.fd, 0, timeoutMs);
    return this.#reap();
  }

  #reap(): number {
    let records = 0;
    for (;;) {
      const record = takeErrorRecord(this.#socket.fd);
      if (record === undefined) break;
      records++;
      const { zeroCopy, first, last, copied } = record;
      if (zeroCopy && !this.#inFlight.complete(first, last, copied)) {
        this.#unsupported = "somebody else sends on this descriptor with MSG_ZEROCOPY";
      }
    }
    if (records > 0) this.#wake();
    if (this.size === 0) {
      busy.delete(this);
      this.#over?.abort();
    }
    return records;
  }

  #wake(): void {
    this.#full = false;
    for (const resolve of this.#waiters) resolve();
  }

  watch(): void {
    if (this.#watching || this.size === 0) return;
    this.#watching = true;
    void this.#watch();
  }

  async #watch(): Promise<void> {
    const { fd, waits } = this.#socket;
    const backoff = new Backoff();
    while (this.size > 0 && !this.#closed) {
      const { signal } = this.#over = new AbortController();
      // Of no events it gives POLLERR, for records, and POLLHUP or another error for good.
      await reactor().wait(fd, 0, waits, signal).catch(() => {});
      this.#over = undefined;
      if (this.#closed) break;
      const records = this.#tryReap();
      if (signal.aborted || records > 0) {
        backoff.reset();
        continue;
      }
      this.#wake();
      if (records === NEVER) break;
      waits.acquire();
      await backoff.next();
      waits.release();
    }
    this.#watching = false; // in the same breath: sends that begin later have a wait of their own
  }

  /**
   * The Worker ends, and its memory will be somebody else's: waits for the kernel until `time`, by
   * the clock of `performance`, then resets the connection. AF_VSOCK knows no such thing.
   */
  end(time: number): void {
    const { fd } = this.#socket;
    try {
      let left = time - performance.now();
      for (; this.size > 0 && left > 0; left = time - performance.now()) this.reap(left);
      if (this.size === 0) return;
      setsockopt(fd, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0));
      this.#closed = this.#gone = true;
      this.#socket.closeFd();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
  }

  /**
   * The socket closes. `false`: it may close its descriptor. `true`: `closeFd` is called when the
   * kernel has done with all sends; nothing keeps the process alive for that.
   */
  close(closeFd: () => void): boolean {
    this.#closed = true;
    const records = this.#tryReap();
    this.#wake();
    if (this.size === 0) return false;
    if (records !== NEVER) void this.#closeLater(closeFd);
    return true;
  }

  async #closeLater(closeFd: () => void): Promise<void> {
    const backoff = new Backoff();
    while (this.size > 0) {
      await backoff.next();
      if (this.#tryReap() === NEVER) return;
    }
    closeFd();
  }

  /** `NEVER` where somebody else closed the descriptor: then the memory is kept for ever. */
  #tryReap(): number {
    try {
      return this.reap();
    } catch (error) {
      if (error instanceof SysError) return NEVER;
      throw error;
    }
  }
}

/** Out of memory that may be locked or lent: ENOBUFS of TCP, ENOMEM of AF_VSOCK. */
function isFull(error: unknown): boolean {
  return error instanceof SysError && (error.code === "ENOBUFS" || error.code === "ENOMEM");
}
