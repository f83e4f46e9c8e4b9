/**
 * `<sys/time.h>` and `<time.h>`: spans of time, 64 bits wide on 64-bit Linux.
 *
 * @module
 */
import { requireBytes, textOf } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";

/** `struct timeval`: seconds and microseconds. */
export const TIMEVAL: Layout<"tv_sec" | "tv_usec"> = layout("struct timeval", "sys/time.h", {
  tv_sec: "i64",
  tv_usec: "i64", // 0 to 999999
});

/** `struct timespec`: seconds and nanoseconds. */
export const TIMESPEC: Layout<"tv_sec" | "tv_nsec"> = layout("struct timespec", "time.h", {
  tv_sec: "i64",
  tv_nsec: "i64", // 0 to 999999999
});

/**
 * A `struct timeval` of `ms` milliseconds, to the nearest microsecond, for setsockopt(2). It is 0,
 * which often means no limit, for 0 alone.
 */
export function encodeTimeval(ms: number): Uint8Array<ArrayBuffer> {
  if (!Number.isFinite(ms)) {
    throw new RangeError(
      `Cannot use ms: must be finite milliseconds: current value is ${textOf(ms)}`,
    );
  }
  const view = new DataView(new ArrayBuffer(TIMEVAL.size));
  const us = Math.round(ms * 1_000) || (ms > 0 ? 1 : 0);
  view.setBigInt64(TIMEVAL.at.tv_sec, BigInt(Math.floor(us / 1_000_000)), true);
  view.setBigInt64(TIMEVAL.at.tv_usec, BigInt(us % 1_000_000), true);
  return new Uint8Array(view.buffer);
}

/** Milliseconds in a `struct timeval`, as getsockopt(2) gives it. */
export function decodeTimeval(bytes: Uint8Array): number {
  requireBytes("bytes", bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const seconds = Number(view.getBigInt64(TIMEVAL.at.tv_sec, true));
  return seconds * 1_000 + Number(view.getBigInt64(TIMEVAL.at.tv_usec, true)) / 1_000;
}
