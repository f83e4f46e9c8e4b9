/**
 * Standard input and output of this process, as bytes.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { dup2 } from "../../../ffi/libc.ts";

const STDOUT = 1;

/** Where the bytes come from and go to. */
export interface Pipes extends Disposable {
  /** Whether both are something else than a terminal, so that progress disturbs nobody. */
  readonly quiet: boolean;
  /** What comes in, until its end. */
  read(): AsyncIterable<Uint8Array>;
  /** Writes all of `bytes`, which are free for reuse then. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends what goes out; whoever reads it sees the end. */
  end(): void;
}

/** Those of this process. */
export class ProcessPipes implements Pipes {
  #reading = false;

  get quiet(): boolean {
    return process.stdin.isTTY !== true && process.stdout.isTTY !== true;
  }

  read(): AsyncIterable<Uint8Array> {
    this.#reading = true;
    return process.stdin;
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      process.stdout.write(bytes, (error) => error ? reject(error) : resolve());
    });
  }

  /** The runtimes never close it, so another file takes its place. */
  end(): void {
    if (process.stdout.isTTY === true) return;
    const nowhere = openSync("/dev/null", "w");
    dup2(nowhere, STDOUT);
    closeSync(nowhere);
  }

  /** Reads no more, so that the process can end. */
  [Symbol.dispose](): void {
    if (this.#reading) process.stdin.destroy();
  }
}
