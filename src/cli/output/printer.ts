/**
 * Text for a stream of this process, which may be a file that is full for a while.
 *
 * @module
 */
import { fstatSync, writeSync } from "node:fs";

const NEWLINE = 10;

/** Prints to one stream. */
export interface Printer {
  readonly print: (text: string) => void;
  /** Whether the last text has failed at once. */
  refused: boolean;
}

/**
 * Writes to `stream`, which is told of a failure by its event, whatever it is and on each runtime.
 */
export function printer(
  stream: Pick<NodeJS.WriteStream, "isTTY" | "write" | "emit">,
  fd: number,
): Printer {
  const write = stream.isTTY !== true && isFile(fd)
    ? fileWriter((bytes) => writeSync(fd, bytes))
    : (text: string) => void stream.write(text);
  const printer: Printer = {
    refused: false,
    print(text): void {
      printer.refused = false;
      try {
        write(text);
      } catch (error) {
        printer.refused = true;
        stream.emit("error", error);
      }
    },
  };
  return printer;
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

/**
 * Writes all of a text by `write`, which gives how many bytes it has taken. Where it throws after a
 * part of a text, the next text begins on a line of its own.
 */
export function fileWriter(write: (bytes: Uint8Array) => number): (text: string) => void {
  let cut = false;
  return (text) => {
    const bytes = new TextEncoder().encode(cut ? `\n${text}` : text);
    let at = 0;
    try {
      while (at < bytes.length) at += write(bytes.subarray(at));
      cut = false;
    } catch (error) {
      if (at > 0) cut = bytes[at - 1] !== NEWLINE;
      throw error;
    }
  };
}
