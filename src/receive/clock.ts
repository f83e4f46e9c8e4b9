/**
 * Durations short enough that looking at the clock counts.
 *
 * @module
 */

const READINGS = 1000;

let reading: number | undefined;

/**
 * What reading the clock takes, in milliseconds: some 0.1 us, of which each duration between two
 * readings has one in it. Found out once, in a few tenths of a millisecond.
 */
export function readingMs(): number {
  return reading ??= Math.min(...Array.from({ length: 4 }, () => {
    const start = performance.now();
    for (let count = 1; count < READINGS; count++) performance.now();
    return (performance.now() - start) / READINGS;
  }));
}
