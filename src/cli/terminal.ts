/**
 * Where a command prints: standard output for results, standard error for everything else.
 *
 * @module
 */
import { fstatSync, writeSync } from "node:fs";
import process from "node:process";
import { POLLOUT } from "../../ffi/abi/poll.ts";
import { pollNow } from "../kernel/poll.ts";
import { readVariable } from "./environment.ts";
import { fileWriter } from "./file_writer.ts";

const FDS = { out: 1, err: 2 };

/** The two streams of a command, and what the second one can show. */
export interface Terminal {
  /** Writes results. */
  out(text: string): void;
  /** Writes errors and progress. */
  err(text: string): void;
  /** Whether a line for the stream goes at once, whatever its reader does. @default {true} */
  ready?(stream: "out" | "err"): boolean;
  /** Whether `err` is a terminal on which a line can be drawn over. */
  readonly interactive: boolean;
  /** Whether `err` takes colours: `interactive`, and `NO_COLOR` is not set. */
  readonly color: boolean;
  /** Whether `out` takes colours, by the same rule. @default {false} */
  readonly outColor?: boolean;
  /** Characters in a line of `err`, now. */
  readonly columns: number;
}

/** The streams of this process. */
export function processTerminal(): Terminal {
  const { stdout, stderr } = process;
  const capable = readVariable("TERM") !== "dumb";
  const plain = Boolean(readVariable("NO_COLOR"));
  const interactive = stderr.isTTY === true && capable;
  return {
    out: printer(stdout, FDS.out),
    err: printer(stderr, FDS.err),
    ready: (stream): boolean => pollNow(FDS[stream], POLLOUT) !== 0,
    interactive,
    color: interactive && !plain,
    outColor: stdout.isTTY === true && capable && !plain,
    get columns(): number {
      return stderr.columns || 80; // 0 where the terminal does not know
    },
  };
}

/**
 * Writes to `stream`, which is told of a failure by its event, whatever it is and on each runtime.
 */
function printer(stream: NodeJS.WriteStream, fd: number): (text: string) => void {
  const write = stream.isTTY !== true && isFile(fd)
    ? fileWriter((bytes) => writeSync(fd, bytes))
    : (text: string) => {
      stream.write(text);
    };
  return (text) => {
    try {
      write(text);
    } catch (error) {
      stream.emit("error", error);
    }
  };
}

/** Whether it is neither a pipe nor a socket: a stream of it that has failed once takes no more. */
function isFile(fd: number): boolean {
  try {
    const kind = fstatSync(fd);
    return kind.isFile() || kind.isCharacterDevice();
  } catch {
    return false; // it is closed
  }
}
