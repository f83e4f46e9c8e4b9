/**
 * What a test waits for and nobody tells it of.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Shorter than the limit of a test: what ends by it ends its test's processes, too. */
const LIMIT_MS = 50_000;

/** Waits until `condition` holds; rejects where it never does, with what was `seen` last. */
export async function until(condition: () => boolean, seen?: () => unknown): Promise<void> {
  for (const end = performance.now() + LIMIT_MS; !condition(); await sleep(1)) {
    if (performance.now() < end) continue;
    throw new Error(`It never was so: ${condition}${seen === undefined ? "" : `: ${seen()}`}`);
  }
}
