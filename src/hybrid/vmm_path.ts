/**
 * The path that a VMM listens on, and what it is asked for there.
 *
 * @module
 */
import { POLLIN } from "../../ffi/abi/poll.ts";
import { SysError } from "../../ffi/errno.ts";
import type { UnixAddress } from "../address.ts";
import type { Claim } from "../kernel/claim.ts";
import { listenOnPath } from "../kernel/open.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import { sleepUnheld, startTimer } from "../wait/waiting.ts";
import { LineReader, parseConnect } from "./line.ts";

const BACKLOG = 128;
/** Hosts that have connected and not asked for a port yet: more of them wait to be accepted. */
export const ASKING_MAX = 16;
/** A host has as long as Firecracker gives it, in milliseconds. */
const TIMEOUT_MS = 2_000;
/** Milliseconds until accept(2) is tried again when descriptors have run out. */
const FULL_MS = 10;

/** Gives the connection to `port` of the guest: `false` where it is to be closed without a word. */
export type Answer = (unix: KernelSocket<UnixAddress>, port: number) => Promise<boolean>;

/**
 * Listens on a path for `CONNECT port`. A dead socket that is there gives way, and only this user
 * may connect. It does not keep the process alive.
 */
export class VmmPath {
  readonly #unix: KernelSocket<UnixAddress>;
  readonly #claim: Claim;
  readonly #answer: Answer;
  #asking = 0;
  #onAsked: () => void = () => {};

  /** Starts to listen. @throws {SysError} `EADDRINUSE` if somebody listens on `path`. */
  constructor(path: string, answer: Answer) {
    this.#answer = answer;
    const { unix, claim } = listenOnPath(path, BACKLOG);
    unix.unref();
    this.#unix = unix;
    this.#claim = claim;
    this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#unix.closed) {
      try {
        await this.#unix.wait(POLLIN);
        for (let unix; !this.#unix.closed && (unix = this.#unix.accept()) !== undefined;) {
          this.#serve(unix);
          while (this.#asking >= ASKING_MAX) await this.#someAsked();
          await this.#unix.turns.give(undefined); // there may be hosts without end
        }
      } catch {
        await sleepUnheld(FULL_MS); // out of descriptors
      }
    }
  }

  /** Resolves when one of those that are asking has done so, or given up. */
  #someAsked(): Promise<void> {
    return new Promise((resolve) => this.#onAsked = resolve);
  }

  /** Serves one connection of the host. What it gives up on, it closes without a word. */
  async #serve(unix: KernelSocket<UnixAddress>): Promise<void> {
    try {
      const port = await this.#readPort(unix);
      if (port === undefined || !await this.#answer(unix, port)) unix.close();
    } catch (error) {
      unix.close();
      if (!(error instanceof SysError)) throw error;
    }
  }

  async #readPort(unix: KernelSocket<UnixAddress>): Promise<number | undefined> {
    unix.unref();
    const timer = startTimer(() => unix.close(), TIMEOUT_MS);
    this.#asking++;
    try {
      return await readConnect(unix);
    } finally {
      clearTimeout(timer);
      this.#asking--;
      this.#onAsked();
    }
  }

  /** Unlinks the path and listens no more. The second call does nothing. */
  close(): void {
    this.#claim.release();
    this.#unix.close();
  }
}

/** The port that a host asks for; `undefined` where it asks for none. */
async function readConnect(unix: KernelSocket<UnixAddress>): Promise<number | undefined> {
  const reader = new LineReader();
  for (;;) {
    const line = reader.read(unix);
    if (line === null) return undefined;
    if (line !== undefined) return parseConnect(line);
    await unix.wait(POLLIN);
  }
}
