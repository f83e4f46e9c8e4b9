/**
 * Calls on their way to a far end, each by a number of its own.
 *
 * @module
 */
import type { Call, Channel, Reply } from "./far.ts";

/** The way to a far end that lives elsewhere. */
export interface FarChannel {
  /** Calls by message; a far end that is gone fails what it owes. */
  readonly channel: Channel;
  /** Ends the far end, which may be gone; resolves when it is. */
  end(): Promise<void>;
}

/** A call as a message; what has none is the end. */
export interface NumberedCall {
  readonly id: number;
  readonly call?: Call;
}

/** Its reply as a message. */
export interface NumberedReply {
  readonly id: number;
  readonly reply: Reply;
}

/** The calls that wait for a reply. */
export class Calls {
  readonly #pending: Map<number, (reply: Reply) => void> = new Map();
  #last = 0;

  /** Hands a call to `post`; resolves with the reply to it. */
  send(call: Call, post: (message: NumberedCall) => void): Promise<Reply> {
    return new Promise((resolve) => {
      this.#pending.set(++this.#last, resolve);
      post({ id: this.#last, call });
    });
  }

  /** A reply has come. */
  settle({ id, reply }: NumberedReply): void {
    this.#pending.get(id)?.(reply);
    this.#pending.delete(id);
  }

  /** No reply will come to those that wait. */
  fail(message: string): void {
    for (const settle of this.#pending.values()) settle({ message });
    this.#pending.clear();
  }
}
