/**
 * The control connection of `vsock_test`, which is TCP, carried between a guest and its host by
 * their control port: it is the device that is tested, so nothing else goes by that.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { Mode } from "../../src/cli/test/case.ts";
import type { Messages } from "../vm/json_lines.ts";

/** What the two say to each other. */
export interface Word {
  /** To the guest: run the kernel's program. */
  readonly run?: { readonly mode: Mode; readonly args: readonly string[] };
  /** From the guest: it runs, and its control connection is there. */
  readonly connected?: true;
  /** Bytes of the control connection. */
  readonly bytes?: Uint8Array;
  /** It has ended. */
  readonly end?: true;
  /** From the guest: how the program ended. */
  readonly ended?: { readonly code: number | null; readonly printed: string };
}

/** One side of the control port. */
export class Words {
  readonly #messages: Messages;
  readonly #heard: AsyncIterator<unknown>;

  /** Over `messages`, which nobody else iterates. */
  constructor(messages: Messages) {
    this.#messages = messages;
    this.#heard = messages[Symbol.asyncIterator]();
  }

  /** Says it. */
  say(word: Word): Promise<void> {
    return this.#messages.send(word);
  }

  /** The next word; throws where there will be none. */
  async hear(): Promise<Word> {
    const { done, value } = await this.#heard.next();
    if (done) throw new Error("the other side of the control port is gone");
    return value as Word;
  }

  /** Carries what `socket` receives, and to it what is heard, until either way has ended. */
  async carry(socket: Socket): Promise<void> {
    const said = this.#sayAll(socket);
    for (;;) {
      const { bytes, end } = await this.hear();
      if (bytes !== undefined) socket.write(bytes);
      if (end) break;
    }
    socket.end();
    await said;
  }

  async #sayAll(socket: Socket): Promise<void> {
    try {
      for await (const chunk of socket) await this.say({ bytes: new Uint8Array(chunk) });
    } catch {
      // A program that fails may reset the connection: that is its end.
    }
    await this.say({ end: true });
  }
}
