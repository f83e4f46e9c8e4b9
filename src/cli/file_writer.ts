/**
 * Text into a file that may be full for a while.
 *
 * @module
 */

const NEWLINE = 10;

/**
 * Writes all of a text by `write`, which gives how many bytes it has taken. Behind one that it has
 * thrown in the midst of, the next begins on a line of its own.
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
