/**
 * 64-bit numbers: as BigInts without making a new one each time, and without a BigInt.
 *
 * @module
 */
import type { Wide } from "./backend.ts";

/** Prime, so that lengths and page-aligned addresses spread. */
const SLOTS = 61;
const keys: Float64Array<ArrayBuffer> = new Float64Array(SLOTS);
const values: bigint[] = Array.from({ length: SLOTS }, () => 0n);

/** `value`, a safe integer, as a BigInt: the same object as last time for numbers in use. */
export function toWide(value: number): Wide {
  const slot = value < 0 ? 0 : value % SLOTS;
  if (keys[slot] !== value) {
    values[slot] = BigInt(value);
    keys[slot] = value;
  }
  return values[slot] as Wide;
}

/** Stores a safe integer as 64 bits without a BigInt. */
export function setSize(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value, true); // modulo 2^32
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}
