/**
 * The hash by which both ends agree on data: Bernstein's, in 64 bits.
 *
 * @module
 */

const WORD = 0x1_0000_0000;

/** `hash_djb2()` of the kernel's `util.c`: unsigned, modulo 2^64. */
export function djb2(data: Uint8Array): bigint {
  let [high, low] = [0, 5381];
  for (const byte of data) {
    const next = low * 33 + byte;
    low = next >>> 0;
    high = (high * 33 + Math.floor(next / WORD)) >>> 0;
  }
  return BigInt(high) << 32n | BigInt(low);
}

/** `a + b` as C's unsigned long has it. */
export function addHash(a: bigint, b: bigint): bigint {
  return BigInt.asUintN(64, a + b);
}
