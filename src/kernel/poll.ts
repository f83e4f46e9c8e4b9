/**
 * poll(2) of one descriptor.
 *
 * @module
 */
import { PollFds, POLLIN } from "../../ffi/abi/poll.ts";
import { poll, pollOnce } from "../../ffi/libc.ts";

/**
 * Milliseconds that a thread blocks at a stretch. A runtime can end a thread between two system
 * calls only: Deno and Node cannot even end the process before.
 */
export const SLICE_MS = 50;

/** One of each will do: no poll of a thread starts inside of another. */
const single: PollFds = new PollFds(1);
const double: PollFds = new PollFds(2);

/** poll(2) with a timeout of 0: the revents of `fd`. */
export function pollNow(fd: number, events: number): number {
  single.set(0, fd, events);
  poll(single, 0);
  return single.revents(0);
}

/**
 * poll(2) that blocks this thread for `timeoutMs`, for a slice at most: the revents of `fd`, 0 when
 * the time is over, a signal came, or `also` can be read.
 */
export function pollSlice(fd: number, events: number, timeoutMs: number, also?: number): number {
  const fds = also === undefined ? single : double;
  fds.set(0, fd, events);
  if (also !== undefined) fds.set(1, also, POLLIN);
  pollOnce(fds, Math.min(timeoutMs, SLICE_MS));
  return fds.revents(0);
}
