/**
 * Accepting connections while descriptors may run out.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { EXHAUSTED, VsockError } from "../../error.ts";
import type { Listener } from "../../listener.ts";
import type { WaitOptions } from "../../wait/waiting.ts";

/** Milliseconds until it is tried again. */
const FULL_MS = 100;

/**
 * accept(2), and again where something has run out that it takes, since a connection that ends
 * gives some back. `onFull` is told each time, and how many times it was told before.
 */
export async function acceptPatiently(
  listener: Listener<Address>,
  onFull: (error: VsockError, before: number) => void,
  options?: WaitOptions,
): Promise<Conn<Address>> {
  for (let before = 0;; before++) {
    try {
      return await listener.accept(options);
    } catch (error) {
      if (!(error instanceof VsockError) || !EXHAUSTED.has(error.code)) throw error;
      onFull(error, before);
    }
    await sleep(FULL_MS);
  }
}
