/**
 * Data that nobody can foresee.
 *
 * @module
 */

/** What `crypto.getRandomValues()` gives at once. */
const AT_ONCE = 65_536;

/** Fills `bytes` with random ones. */
export function fillRandom(bytes: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < bytes.length; at += AT_ONCE) {
    crypto.getRandomValues(bytes.subarray(at, at + AT_ONCE));
  }
}

/** `length` random bytes. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  fillRandom(bytes);
  return bytes;
}

/** A random integer from 0, below `limit`. */
export function randomBelow(limit: number): number {
  return Math.floor(Math.random() * limit);
}
