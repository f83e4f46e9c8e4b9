/**
 * Standard input and output of this process, as bytes.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readlinkSync } from "node:fs";
import process from "node:process";
import { POLLNVAL, POLLOUT } from "../../../ffi/abi/poll.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { isSysError } from "../../../ffi/errno.ts";
import { dup2, shutdown, write } from "../../../ffi/libc.ts";
import { pollNow } from "../../kernel/poll.ts";
import { Hold, reactor } from "../../kernel/reactor.ts";

const [STDIN, STDOUT, STDERR] = [0, 1, 2];
const FDS = "/proc/self/fd";
/** Bytes that each kind of file takes without blocking where poll(2) says that it has room. */
const PIECE = 4_096;
const REOPEN_FLAGS = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
/** The device of the other end of terminals, which makes a new terminal each time it is opened. */
const PTMX = 5 << 8 | 2;

/** Where the bytes come from and go to. */
export interface Pipes extends Disposable {
  /** Whether both are something else than a terminal, so that progress disturbs nobody. */
  readonly quiet: boolean;
  /** What comes in, until its end. */
  read(): AsyncIterable<Uint8Array>;
  /**
   * Writes all of `bytes`, which are free for reuse then; `signal` ends that where nobody reads.
   */
  write(bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Ends what goes out; whoever reads it sees the end. */
  end(): void;
}

/** Those of this process. */
export class ProcessPipes implements Pipes {
  readonly #onLost: () => void;
  readonly #hold: Hold = new Hold();
  readonly #over: AbortController = new AbortController();
  #output: Output | undefined;
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

  /** Notices it, too, when nobody reads any more what goes out while there is nothing to write. */
  watchReader(): void {
    const lost = reactor().wait(STDOUT, 0, this.#hold, this.#over.signal);
    lost.then((revents) => {
      if ((revents & POLLNVAL) === 0) this.#onLost();
    }).catch(() => {}); // a file has no reader
  }

  /** Not by `process.stdout`: who does not read that stops the event loop of Deno. */
  async write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { fd, most } = this.#output ??= openOutput();
    for (let rest = bytes; rest.length > 0;) {
      if (pollNow(fd, POLLOUT) === 0) {
        await reactor().wait(fd, POLLOUT, this.#hold, signal, true);
      }
      rest = rest.subarray(this.#writeSome(fd, rest.subarray(0, most)));
    }
  }

  /** write(2): 0 where somebody else has taken the room. */
  #writeSome(fd: number, bytes: Uint8Array): number {
    try {
      return Math.max(0, write(fd, bytes));
    } catch (error) {
      if (isSysError(error, "EPIPE")) this.#onLost();
      throw error;
    }
  }

  end(): void {
    if (this.#output !== undefined) reactor().forget(this.#output.fd);
    if (process.stdout.isTTY !== true) endOutput();
  }

  /** Reads no more, so that the process can end. */
  [Symbol.dispose](): void {
    this.#over.abort();
    if (this.#reading) process.stdin.destroy();
  }
}

/** Where to write, and how much at a time so that it does not block. */
interface Output {
  readonly fd: number;
  readonly most: number;
}

/**
 * Standard output. A pipe or a terminal is opened anew, without blocking: O_NONBLOCK of the
 * descriptor that we were given would be that of all processes which have it. A terminal needs that
 * even for a piece, since poll(2) says that it has room where it has less than one.
 */
function openOutput(): Output {
  const kind = fstatSync(STDOUT);
  if (kind.isFile()) return { fd: STDOUT, most: Infinity };
  if (kind.isFIFO() || process.stdout.isTTY === true && kind.rdev !== PTMX) {
    try {
      return { fd: openSync(`${FDS}/${STDOUT}`, REOPEN_FLAGS), most: Infinity };
    } catch {
      // Another user's, or no more descriptors.
    }
  }
  return { fd: STDOUT, most: PIECE };
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
