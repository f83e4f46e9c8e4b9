/**
 * How many connections a guest may have: each takes a descriptor, which others need too.
 *
 * @module
 */

/** As many as Firecracker serves. */
const MOST = 1_023;
/** Descriptors of the runtime, of files, and of who has connected and not asked for a port yet. */
const KEPT = 128;
/** Descriptors of a guest without connections: its VMM, its rings, its paths. */
const KEPT_EACH = 16;

/** Connections that each of so many guests may have, of `limit` descriptors. */
export function shareOf(guests: number, limit: number): number {
  const share = Math.floor((limit - KEPT) / guests) - KEPT_EACH;
  return Math.max(1, Math.min(share, MOST));
}
