/**
 * Waiting for room to send, which poll(2) does not always tell of.
 *
 * @module
 */
import { POLLOUT, POLLRDHUP } from "../../ffi/abi/poll.ts";
import type { AnySocket } from "../socket.ts";
import { limitWait } from "../wait/waiting.ts";

/** How often a sender looks whether its peer reads no more either, in milliseconds. */
const LOOK_MS = 64;

/**
 * Waits of one write. A peer that closes while it owes credit gives none any more, and then a VM
 * socket is never POLLOUT, though send(2) would be EPIPE at once. It is POLLRDHUP, as it is where
 * the peer has ended its own side only and reads on; that can be told apart by sending alone.
 */
export class Room {
  readonly #socket: AnySocket;
  #ended = false;

  constructor(socket: AnySocket) {
    this.#socket = socket;
  }

  /** Waits until send(2) may do something else than before: whether there is room by POLLOUT. */
  async wait(signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#ended) return await this.#look(signal);
    const events = await this.#socket.wait(POLLOUT | POLLRDHUP, signal);
    this.#ended = (events & POLLRDHUP) !== 0;
    return (events & ~POLLRDHUP) !== 0;
  }

  async #look(signal: AbortSignal | undefined): Promise<boolean> {
    using limit = limitWait("send", { signal, timeoutMs: LOOK_MS }, undefined);
    try {
      return await this.#socket.wait(POLLOUT, limit.signal) !== 0;
    } catch (error) {
      if (!limit.signal?.aborted) throw error;
      signal?.throwIfAborted();
      return false;
    }
  }
}
