/**
 * poll(2) of one descriptor.
 *
 * @module
 */
import { PollFds, POLLIN } from "../../ffi/abi/poll.ts";
import { poll } from "../../ffi/libc.ts";

/**
 * Milliseconds that a thread blocks at a stretch. A runtime can end a thread between two system
 * calls only: Deno and Node cannot even end the process before.
 */
export const SLICE_MS = 50;
const NONE = -1;

/** One will do: no poll of a thread starts inside of another. */
const fds: PollFds = new PollFds(2);

/** poll(2) with a timeout of 0: the revents of `fd`. */
export function pollNow(fd: number, events: number): number {
  return pollUpTo(fd, events, 0);
}

/**
 * poll(2) that blocks this thread for `timeoutMs`, for a slice at most: the revents of `fd`, 0 when
 * the time is over or `also` can be read.
 */
export function pollSlice(fd: number, events: number, timeoutMs: number, also?: number): number {
  return pollUpTo(fd, events, Math.min(timeoutMs, SLICE_MS), also);
}

function pollUpTo(fd: number, events: number, timeoutMs: number, also = NONE): number {
  fds.set(0, fd, events);
  fds.set(1, also, POLLIN);
  poll(fds, timeoutMs);
  return fds.revents(0);
}
