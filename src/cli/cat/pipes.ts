/**
 * Standard input and output of this process, as bytes.
 *
 * @module
 */
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { dup2, shutdown } from "../../../ffi/libc.ts";

const [STDIN, STDOUT, STDERR] = [0, 1, 2];
const FDS = "/proc/self/fd";

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
  readonly #onLost: () => void;
  #reading = false;

  /** `onLost` is called when nobody reads what goes out any more. */
  constructor(onLost: () => void) {
    this.#onLost = onLost;
  }

  get quiet(): boolean {
    return process.stdin.isTTY !== true && process.stdout.isTTY !== true;
  }

  read(): AsyncIterable<Uint8Array> {
    this.#reading = true;
    return process.stdin;
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      process.stdout.write(bytes, (error) => {
        if (!error) return resolve();
        if ((error as NodeJS.ErrnoException).code === "EPIPE") this.#onLost();
        reject(error);
      });
    });
  }

  end(): void {
    if (process.stdout.isTTY !== true) endOutput();
  }

  /** Reads no more, so that the process can end. */
  [Symbol.dispose](): void {
    if (this.#reading) process.stdin.destroy();
  }
}

/**
 * The runtimes never close standard output, and Deno has it more than once: another file takes the
 * place of each of them.
 */
function endOutput(): void {
  const file = linkOf(STDOUT);
  if (file === undefined || file === linkOf(STDERR)) return;
  if (file.startsWith("socket:")) return shutdown(STDOUT, SHUT_WR);
  const nowhere = openSync("/dev/null", "w");
  for (const name of readdirSync(FDS)) {
    const fd = Number(name);
    if (fd !== STDIN && linkOf(fd) === file) dup2(nowhere, fd);
  }
  closeSync(nowhere);
}

/** Which file a descriptor is; `undefined` for one that is not open. */
function linkOf(fd: number): string | undefined {
  try {
    return readlinkSync(`${FDS}/${fd}`);
  } catch {
    return undefined;
  }
}
