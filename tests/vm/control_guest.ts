/**
 * The guest's end of the control port: messages from and to the process that has booted the guest.
 *
 * @module
 */
import { closeSync, constants, openSync } from "node:fs";
import process from "node:process";
import { POLLIN, POLLNVAL, POLLOUT } from "../../ffi/abi/poll.ts";
import { WOULD_BLOCK } from "../../ffi/errno.ts";
import { read, write } from "../../ffi/libc.ts";
import { Hold, reactor } from "../../src/kernel/reactor.ts";
import { encodeLine, LineDecoder, type Messages } from "./json_lines.ts";

/** The port that `--control` has made; one process opens it. */
export class ControlGuest implements Messages, Disposable {
  #fd: number;
  readonly #hold: Hold = new Hold();
  #sent: Promise<void> = Promise.resolve();

  /** Opens the port. The caller closes it. Throws where it is open elsewhere, or not there. */
  constructor() {
    const path = process.env["VSOCKIT_CONTROL"];
    if (path === undefined) throw new TypeError("Cannot open the control port: there is none");
    this.#fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  send(message: unknown): Promise<void> {
    const line = new Uint8Array(encodeLine(message));
    return this.#sent = this.#sent.then(() => this.#write(line));
  }

  /** What the host sends, up to its end. It keeps the process alive. May be iterated once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    const decoder = new LineDecoder();
    const buffer = new Uint8Array(65536);
    while (this.#fd >= 0) {
      const count = read(this.#fd, buffer);
      if (count === 0) return;
      if (count === WOULD_BLOCK) await this.#wait(POLLIN);
      else yield* decoder.push(buffer.subarray(0, count));
    }
  }

  /** Closes the port. The second call does nothing. */
  close(): void {
    if (this.#fd < 0) return;
    reactor().forget(this.#fd);
    closeSync(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The driver takes 32 KiB at a time. */
  async #write(line: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let at = 0; at < line.length;) {
      const taken = write(this.#fd, line.subarray(at));
      if (taken === WOULD_BLOCK) await this.#wait(POLLOUT);
      else at += taken;
    }
  }

  async #wait(events: number): Promise<void> {
    const revents = await reactor().wait(this.#fd, events, this.#hold);
    if ((revents & POLLNVAL) !== 0) throw new Error("the control port was closed");
  }
}
