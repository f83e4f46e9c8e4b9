/**
 * What the transmitter sends: pseudo-random bytes, or a file.
 *
 * @module
 */
import { closeSync, openSync, readSync } from "node:fs";

/** Gives the next bytes to send. */
export interface Source extends Disposable {
  /** The next 1 to `length` bytes, valid until the next call. */
  next(length: number): Uint8Array;
}

/** Bytes that a buffer of `length` bytes takes: whole words. */
export function bufferSize(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** Pages of one `buffer`, all different, over and over: `bufferBytes` of it. */
export function patternSource(
  bufferBytes: number,
  buffer: Uint8Array<ArrayBuffer> = new Uint8Array(bufferSize(bufferBytes)),
): Source {
  const words = new Uint32Array(buffer.buffer);
  for (let [index, word] = [0, 0x9e3779b9]; index < words.length; index++) {
    word ^= word << 13; // xorshift32
    word ^= word >>> 17;
    word ^= word << 5;
    words[index] = word;
  }
  return {
    next: (length: number): Uint8Array => buffer.subarray(0, Math.min(length, bufferBytes)),
    [Symbol.dispose]: (): void => {},
  };
}

/** A file, read through one `buffer`. The caller disposes of it, which closes the file. */
export function fileSource(
  path: string,
  bufferBytes: number,
  buffer: Uint8Array,
): Source {
  const fd = openSync(path, "r");
  return {
    next(length: number): Uint8Array {
      const read = readSync(fd, buffer, 0, Math.min(length, bufferBytes), null);
      if (read === 0) throw new Error(`Cannot send ${path}: it ended ${length} bytes early`);
      return buffer.subarray(0, read);
    },
    [Symbol.dispose]: (): void => closeSync(fd),
  };
}
