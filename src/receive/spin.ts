/**
 * Spinning: looking at a readiness flag again and again, with no system call in between.
 *
 * @module
 */
import type { Source } from "./source.ts";

/** Looks at the clock only every so often: it costs more than a look at `poll_value`. */
const TURNS = 256;

/** Spins until `source` is readable, or `performance.now()` has reached `deadline`. */
export function spinUntil(source: Source, deadline: number): boolean {
  do {
    for (let turn = 0; turn < TURNS; turn++) {
      if (source.readable()) return true;
    }
  } while (performance.now() < deadline);
  return false;
}
