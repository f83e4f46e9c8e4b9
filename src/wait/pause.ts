/**
 * Letting others run between two tries of a call.
 *
 * @module
 */
import type { AnySocket } from "../socket.ts";
import { turn } from "./turns.ts";
import { sleepUnheld } from "./waiting.ts";

/** Turns of the event loop before a pause sleeps. */
const EAGER_TURNS = 32;
/** The first naps take this long; after so many of one length they take twice as long. */
const [FIRST_NAP_MS, NAPS_OF_A_LENGTH, LONGEST_NAP_MS] = [4, 8, 64];

/**
 * Lets others run after poll(2) said ready and the call would still block: half of a message has
 * come, or there is credit for half of one. `vain` counts how often that was so in a row: a peer
 * that leaves it at half of a message must not keep a processor busy.
 */
export async function pause(
  socket: AnySocket,
  vain: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  await (vain < EAGER_TURNS ? turn() : nap(socket, napMs(vain - EAGER_TURNS)));
  signal?.throwIfAborted();
}

function napMs(naps: number): number {
  return Math.min(FIRST_NAP_MS * 2 ** Math.floor(naps / NAPS_OF_A_LENGTH), LONGEST_NAP_MS);
}

/** Some milliseconds, holding the event loop as a wait of `socket` does. */
async function nap(socket: AnySocket, ms: number): Promise<void> {
  const time = sleepUnheld(ms);
  if (socket.hold !== undefined) return await socket.hold(time);
  const over = new AbortController();
  const hold = socket.wait(0, over.signal).catch(() => {});
  await time;
  over.abort();
  await hold;
}
