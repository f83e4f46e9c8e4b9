/**
 * A file that packets are recorded in.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { setImmediate } from "node:timers";

/** Bytes that are kept at most before they are written. */
const KEPT_MAX = 1 << 18;
/** A pipe does not stop the device: one that is full is an error like a full disk. */
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NONBLOCK;
/** What guests say is nobody else's business. */
const MODE = 0o600;

/** Writes what it is given in the same turn of the event loop, or before that is too much. */
export class PcapFile implements Disposable {
  readonly #fail: (error: Error) => void;
  #fd: number | undefined;
  #closed = false;
  #kept: Uint8Array[] = [];
  #bytes = 0;
  #scheduled = false;

  /** `fail` is told why no more is recorded. */
  constructor(fail: (error: Error) => void) {
    this.#fail = fail;
  }

  /** Makes the file at `path` anew; until then, pieces are kept. @throws {Error} If it cannot. */
  open(path: string): void {
    try {
      this.#fd = openSync(path, FLAGS, MODE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
      throw new Error(`Cannot open ${path}: ENXIO (errno 6): nobody reads that pipe yet`);
    }
  }

  /** Takes a piece, which is its own then. */
  readonly write = (piece: Uint8Array): void => {
    if (this.#closed) return;
    this.#kept.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= KEPT_MAX) return this.#flush();
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  };

  #flush(): void {
    if (this.#fd === undefined) return;
    const bytes = Buffer.concat(this.#kept);
    this.#kept = [];
    this.#bytes = 0;
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      this.#close();
      this.#fail(error as Error);
    }
  }

  #close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#closed = true;
    this.#kept = [];
  }

  /** Writes what is left. The second call does nothing. */
  [Symbol.dispose](): void {
    this.#flush();
    this.#close();
  }
}
