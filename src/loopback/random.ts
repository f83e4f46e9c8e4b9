/**
 * A small seeded generator, the same on every runtime.
 *
 * @module
 */

/** mulberry32: numbers from 0 up to 1 that depend on `seed` (unsigned 32-bit) alone. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
