/**
 * How much is done for a guest before others get their turn.
 *
 * @module
 */
import type { Chain } from "../virtio/chain.ts";

/** The work of one turn: less than a millisecond, but for what is copied. */
export const WORK_OF_TURN = 4_096;
/** The work of a packet: of 256 of them, whose payloads may be 16 MiB, one turn is. */
const PACKET = 16;

/** The work of a packet in `chain`: many descriptors take longer than the rest of it. */
export function workOf({ descriptors }: Chain): number {
  return Math.max(PACKET, descriptors);
}
