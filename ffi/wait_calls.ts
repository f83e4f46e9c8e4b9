/**
 * Calls that wait: what `<poll.h>` and `<sys/epoll.h>` declare.
 *
 * All of them block this thread, event loop included. Timeouts are in milliseconds: 0 only looks,
 * `Infinity` waits for ever. A signal does not cut a wait short: it goes on for what is left. On
 * failure each call throws a `SysError`, with what its man page lists under ERRORS.
 *
 * @module
 */
import { EPOLL_EVENT, type EpollEvents } from "./abi/epoll.ts";
import { POLLFD, type PollFds } from "./abi/poll.ts";
import { TIMESPEC } from "./abi/time.ts";
import { requireBytes, requireFd, requireInt, textOf } from "./arguments.ts";
import { libraryFor, retry } from "./call.ts";
import { library } from "./select.ts";

const INT_MAX = 0x7fff_ffff;
const timespec: DataView<ArrayBuffer> = new DataView(new ArrayBuffer(TIMESPEC.size));
/** What `timespec` holds, in milliseconds: most calls wait as long as the one before. */
let written = 0;

/** When a wait that starts now ends, by `performance.now()`. Looking needs no clock. */
function deadline(timeoutMs: number): number {
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    throw new RangeError(
      "Cannot wait: must be a timeout of 0 ms or more, Infinity for ever: " +
        `current value is ${textOf(timeoutMs)}`,
    );
  }
  return timeoutMs === 0 ? 0 : performance.now() + timeoutMs;
}

/** Milliseconds until `end`. */
function left(end: number): number {
  return end === 0 ? 0 : Math.max(0, end - performance.now());
}

/** Whole milliseconds as poll(2) takes them: rounded up, -1 for ever, 24 days at most. */
function toInt(ms: number): number {
  return ms === Infinity ? -1 : Math.min(Math.ceil(ms), INT_MAX);
}

/** How many there is room for: a call writes to as many. */
function countOf(fds: PollFds): number {
  return Math.floor(requireBytes("fds", fds?.bytes) / POLLFD.size);
}

/**
 * Wraps poll(2): how many of `fds` have events, 0 when the time is over. `timeoutMs` is in
 * milliseconds, `Infinity` for ever: -1 is a RangeError.
 */
export function poll(fds: PollFds, timeoutMs: number): number {
  const { calls, wide } = library();
  const count = wide(countOf(fds));
  const end = deadline(timeoutMs);
  let ms = timeoutMs;
  for (;;) {
    const ready = calls.poll(fds.bytes, count, toInt(ms));
    if (ready !== -1 || !retry("poll")) return ready;
    ms = left(end);
  }
}

/** `poll()` that a signal cuts short: 0 then too. It reads no clock. */
export function pollOnce(fds: PollFds, timeoutMs: number): number {
  const { calls, wide } = library();
  const ready = calls.poll(fds.bytes, wide(countOf(fds)), toInt(timeoutMs));
  return ready === -1 && retry("poll") ? 0 : ready;
}

/**
 * Wraps ppoll(2), which waits to the nanosecond and leaves the signal mask alone here; `timeoutMs`
 * as for {@linkcode poll}.
 */
export function ppoll(fds: PollFds, timeoutMs: number): number {
  const { calls, wide, pointerOf } = library();
  const count = wide(countOf(fds));
  const end = deadline(timeoutMs);
  let ms = timeoutMs;
  for (;;) {
    if (ms !== Infinity && ms !== written) {
      written = ms;
      const seconds = Math.min(Math.floor(ms / 1_000), INT_MAX);
      timespec.setBigInt64(TIMESPEC.at.tv_sec, BigInt(seconds), true);
      timespec.setBigInt64(TIMESPEC.at.tv_nsec, BigInt(Math.floor((ms % 1_000) * 1e6)), true);
    }
    const timeout = wide(ms === Infinity ? 0 : pointerOf(timespec));
    const ready = calls.ppoll(fds.bytes, count, timeout, wide(0));
    if (ready !== -1 || !retry("ppoll")) return ready;
    ms = left(end);
  }
}

/** Wraps epoll_create1(2): a file descriptor, which the caller closes. */
export function epoll_create1(flags: number): number {
  requireInt("flags", flags);
  const { calls } = library();
  let fd: number;
  do fd = calls.epoll_create1(flags); while (fd === -1 && retry("epoll_create1"));
  return fd;
}

/** Wraps epoll_ctl(2): `op` is `EPOLL_CTL_*`; the first of `events` is the one that counts. */
export function epoll_ctl(epfd: number, op: number, fd: number, events: EpollEvents): void {
  requireInt("op", op);
  requireFd("fd", fd);
  if (requireBytes("events", events?.bytes) < EPOLL_EVENT.size) {
    throw new RangeError("Cannot use events: must be 1 or more: current value is 0");
  }
  const { calls } = libraryFor(epfd);
  while (calls.epoll_ctl(epfd, op, fd, events.bytes) === -1 && retry("epoll_ctl"));
}

/**
 * Wraps epoll_wait(2): how many of `events` were filled, 0 when the time is over; `timeoutMs` as
 * for {@linkcode poll}.
 */
export function epoll_wait(epfd: number, events: EpollEvents, timeoutMs: number): number {
  const { calls } = libraryFor(epfd);
  const count = Math.floor(requireBytes("events", events?.bytes) / EPOLL_EVENT.size);
  const end = deadline(timeoutMs);
  let ms = timeoutMs;
  for (;;) {
    const ready = calls.epoll_wait(epfd, events.bytes, count, toInt(ms));
    if (ready !== -1 || !retry("epoll_wait")) return ready;
    ms = left(end);
  }
}
