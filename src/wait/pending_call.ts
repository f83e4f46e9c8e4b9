/**
 * A call that waits for a socket, of which there may be one at a time.
 *
 * @module
 */
import { POLLIN } from "../../ffi/abi/poll.ts";
import type { Address } from "../address.ts";
import { type Op, toVsockError, VsockError } from "../error.ts";
import type { AnySocket } from "../socket.ts";
import { pause } from "./pause.ts";
import { limitWait, type WaitOptions } from "./waiting.ts";

/** The one call of its kind that may wait for `socket` to have something. */
export class PendingCall {
  readonly #op: Op;
  readonly #socket: AnySocket;
  readonly #address: Address;
  #pending = false;

  /** `address` is for errors. */
  constructor(op: Op, socket: AnySocket, address: Address) {
    this.#op = op;
    this.#socket = socket;
    this.#address = address;
  }

  /** Throws `EBUSY` while one waits. */
  requireNone(): void {
    if (this.#pending) throw new VsockError(this.#op, "EBUSY", { address: this.#address });
  }

  /** What `attempt` gives: it is called whenever there may be something, until there is. */
  async wait<T>(attempt: () => T | undefined, options: WaitOptions | undefined): Promise<T> {
    const [socket, op, address] = [this.#socket, this.#op, this.#address];
    this.#pending = true;
    try {
      using limit = limitWait(op, options, address);
      for (let vain = 0;; vain++) {
        await socket.wait(POLLIN, limit.signal);
        const result = attempt();
        if (result !== undefined) return await socket.turns.give(result);
        await pause(socket, vain, limit.signal);
      }
    } catch (cause) {
      throw toVsockError(op, cause, address);
    } finally {
      this.#pending = false;
    }
  }
}
