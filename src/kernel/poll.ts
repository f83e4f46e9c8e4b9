/**
 * poll(2) of one descriptor.
 *
 * @module
 */
import { PollFds } from "../../ffi/abi/poll.ts";
import { poll } from "../../ffi/libc.ts";

/**
 * Milliseconds that a thread blocks at a stretch. A runtime can end a thread between two system
 * calls only: Deno and Node cannot even end the process before.
 */
const SLICE_MS = 50;

/** One will do: no poll of a thread starts inside of another. */
const fds: PollFds = new PollFds(1);

/** poll(2) with a timeout of 0: the revents of `fd`. */
export function pollNow(fd: number, events: number): number {
  fds.set(0, fd, events);
  poll(fds, 0);
  return fds.revents(0);
}

/**
 * poll(2) that blocks this thread in slices, for `timeoutMs` at most: the revents of `fd`, 0 when
 * the time is over.
 */
export function pollSync(fd: number, events: number, timeoutMs: number): number {
  const end = performance.now() + timeoutMs;
  let left = timeoutMs;
  for (;;) {
    fds.set(0, fd, events);
    if (poll(fds, Math.min(left, SLICE_MS)) > 0) return fds.revents(0);
    left = Math.max(0, end - performance.now());
    if (left === 0) return 0;
  }
}
