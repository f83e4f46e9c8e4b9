/**
 * The receiver over any source: one batch at a time, waiting, end of stream, close.
 *
 * @module
 */
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLRDHUP } from "../../ffi/abi/poll.ts";
import { SysError } from "../../ffi/errno.ts";
import type { Address } from "../address.ts";
import { toVsockError, VsockError } from "../error.ts";
import { endError } from "../conn/recv.ts";
import { shown } from "../shown.ts";
import type { AnySocket } from "../socket.ts";
import { pause } from "../wait/pause.ts";
import { limitWait, requireWaitOptions } from "../wait/waiting.ts";
import type { Batch } from "./batch.ts";
import type { LentBatch } from "./lent_batch.ts";
import type { ReceiveOptions, Receiver, ReceiveSyncOptions } from "./receiver.ts";
import type { Source } from "./source.ts";

/** What is not queued now never comes. Not so POLLERR: MSG_ZEROCOPY completions set that too. */
const POLL_END = POLLHUP | POLLRDHUP | POLLNVAL;
/** Looks at `poll_value` between two looks at the clock, each of which costs more than one. */
const SPIN_LOOKS = 256;
/** Milliseconds of spinning between two turns of the event loop. */
const SPIN_SLICE_MS = 0.2;
/** Milliseconds of spinning between two turns of the carrier, where there is no event loop. */
const SPIN_TURN_MS = 50;
/** Milliseconds of such a turn. */
const CARRIER_TURN_MS = 1;
/** Dequeues in vain before a blocked thread sleeps between them, for longer each time. */
const EAGER_DEQUEUES = 64;
const LONGEST_NAP_MS = 64;

/** Owns its source; the socket is the caller's. */
export class SocketReceiver implements Receiver {
  readonly mapped: boolean;
  readonly #socket: AnySocket;
  readonly #peer: Address | undefined;
  readonly #source: Source;
  readonly #onClose: () => void;
  readonly #closing: AbortController = new AbortController();
  #open: LentBatch | undefined;
  #receiving = false;
  /** As the signal has it, which takes longer to ask. */
  #closed = false;

  /** Reads from `socket` by `source`. `peer` is for messages; `onClose` is called by `close()`. */
  constructor(
    socket: AnySocket,
    peer: Address | undefined,
    source: Source,
    onClose: () => void,
  ) {
    this.mapped = source.mapped;
    this.#socket = socket;
    this.#peer = peer;
    this.#source = source;
    this.#onClose = onClose;
  }

  async receive(options: ReceiveOptions = {}): Promise<Batch | null> {
    const spins = this.#requireOptions(options);
    this.#requireIdle();
    this.#receiving = true;
    try {
      const { turns } = this.#socket;
      if (turns.spent()) await turns.next(); // not with a batch in hand, which `close()` would lose
      this.#requireOpen();
      const first = this.#source.readable() ? this.#dequeue(0) : undefined;
      return first === undefined ? await this.#receiveLater(spins, options) : first;
    } finally {
      this.#receiving = false;
    }
  }

  async #receiveLater(spins: boolean, options: ReceiveOptions): Promise<Batch | null> {
    const closing = this.#closing.signal;
    const { signal, timeoutMs } = options;
    using limit = limitWait("recv", {
      timeoutMs,
      signal: signal === undefined ? closing : AbortSignal.any([signal, closing]),
    }, this.#peer);
    for (let vain = 0;;) {
      const events = spins ? this.#spin() : await this.#wait(limit.signal);
      this.#requireOpen(); // what has come wins over an abort, and over time
      const batch = events === 0 ? undefined : this.#dequeue(events);
      if (batch !== undefined) return batch;
      // Readable, and yet nothing to take, such as half of a message; a spin that is over is none.
      await pause(this.#socket, events === 0 ? 0 : vain++, limit.signal);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, void> {
    for (;;) {
      using batch = await this.receive();
      if (batch === null) return;
      yield batch;
    }
  }

  tryReceive(): Batch | null | undefined {
    this.#requireIdle();
    return this.#dequeue(0);
  }

  waitSync(options: ReceiveSyncOptions = {}): boolean {
    const spins = this.#requireOptions(options);
    this.#requireOpen();
    return this.#waitSync(spins, deadlineOf(options)) !== 0;
  }

  receiveSync(options: ReceiveSyncOptions = {}): Batch | null {
    const spins = this.#requireOptions(options);
    this.#requireIdle();
    const first = this.#source.readable() ? this.#dequeue(0) : undefined;
    if (first !== undefined) return first;
    const deadline = deadlineOf(options);
    for (let attempts = 1;; attempts++) {
      const events = this.#waitSync(spins, deadline);
      const batch = events === 0 ? undefined : this.#dequeue(events);
      if (batch !== undefined) return batch;
      if (performance.now() >= deadline) {
        throw new VsockError("recv", "ETIMEDOUT", { address: this.#peer });
      }
      const naps = spins ? 0 : attempts - EAGER_DEQUEUES;
      if (naps > 0) this.#pollSync(0, Math.min(naps, LONGEST_NAP_MS, deadline - performance.now()));
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    this.#closing.abort(new VsockError("recv", "EBADF", { address: this.#peer }));
    try {
      this.#open?.[Symbol.dispose]();
    } finally {
      this.#source.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** `events` are those that held before: with an end among them, nothing to take is the end. */
  #dequeue(events: number): LentBatch | null | undefined {
    try {
      const batch = this.#source.dequeue();
      if (batch) return this.#open = batch;
      const ended = batch === null || (events & POLL_END) !== 0;
      if (!ended && (events & POLLERR) === 0) return undefined;
      const errno = endError(this.#socket);
      if (errno === 0) return ended ? null : undefined;
      throw new SysError("recv", errno);
    } catch (cause) {
      throw toVsockError("recv", cause, this.#peer);
    }
  }

  #spin(): number {
    return this.#spinUntil(performance.now() + SPIN_SLICE_MS) ? POLLIN : 0;
  }

  /** Makes no system call until there is something, or until `deadline`: whether there is. */
  #spinUntil(deadline: number): boolean {
    const source = this.#source;
    do {
      for (let look = 0; look < SPIN_LOOKS; look++) {
        if (source.readable()) return true;
      }
    } while (performance.now() < deadline);
    return false;
  }

  async #wait(signal: AbortSignal | undefined): Promise<number> {
    try {
      return await this.#socket.wait(POLLIN, signal);
    } catch (cause) {
      throw toVsockError("poll", cause, this.#peer);
    }
  }

  #waitSync(spins: boolean, deadline: number): number {
    if (spins) return this.#spinSync(deadline);
    if (this.#source.spins && this.#source.readable()) return POLLIN;
    // Looking at the clock costs as much as a small system call.
    if (deadline === Infinity) return this.#pollSync(POLLIN, Infinity);
    return this.#pollSync(POLLIN, Math.max(0, deadline - performance.now()));
  }

  /** Lets the carrier have a turn now and then: to notice that the peer has died, for one. */
  #spinSync(deadline: number): number {
    for (;;) {
      const turn = performance.now() + SPIN_TURN_MS;
      if (this.#spinUntil(Math.min(turn, deadline))) return POLLIN;
      if (turn >= deadline) return 0;
      const events = this.#pollSync(POLLIN, CARRIER_TURN_MS);
      if (events !== 0) return events;
    }
  }

  #pollSync(events: number, timeoutMs: number): number {
    try {
      return this.#socket.waitSync(events, timeoutMs);
    } catch (cause) {
      throw toVsockError("poll", cause, this.#peer);
    }
  }

  #requireOptions(options: ReceiveOptions): boolean {
    requireWaitOptions(options);
    const { wait = "poll" } = options;
    if (wait !== "poll" && wait !== "spin") {
      throw new TypeError(
        `Cannot use wait: must be "poll" or "spin": current value is ${shown(wait)}`,
      );
    }
    return wait === "spin" && this.#source.spins;
  }

  #requireOpen(): void {
    if (this.#closed) this.#closing.signal.throwIfAborted();
  }

  #requireIdle(): void {
    this.#requireOpen();
    if (this.#receiving) throw new VsockError("recv", "EBUSY", { address: this.#peer });
    if (this.#open === undefined || this.#open.released) return;
    const hint = "a batch is still held: release it first";
    throw new VsockError("recv", "EBUSY", { address: this.#peer, hint });
  }
}

/** When a wait that begins now is over, as `performance.now()` counts. */
function deadlineOf({ timeoutMs = Infinity }: ReceiveSyncOptions): number {
  return timeoutMs === Infinity ? Infinity : performance.now() + timeoutMs;
}
