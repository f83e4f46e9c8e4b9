/**
 * Values of the options of level `AF_VSOCK` as bytes, for what sets them and for what stands in for
 * the kernel.
 *
 * @module
 */
import { SysError } from "../ffi/errno.ts";

/** An `unsigned long long`. */
export function u64(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

/**
 * What setsockopt(2) reads of an `unsigned long long`. Sizes past 2^53 lose their last bits.
 *
 * @throws {SysError} `EINVAL` where it is too short.
 */
export function readU64(value: Uint8Array): number {
  return Number(viewOf(value, 8).getBigUint64(0, true));
}

/**
 * The milliseconds that setsockopt(2) of AF_VSOCK reads of a `struct timeval`: of microseconds only
 * that there are not too many, so that those below 0 take nothing away.
 *
 * @throws {SysError} `EINVAL` where it is too short, `ERANGE` where it is no time from 0 on.
 */
export function readTimeval(value: Uint8Array): number {
  const view = viewOf(value, 16);
  const [seconds, micros] = [view.getBigInt64(0, true), view.getBigInt64(8, true)];
  if (seconds < 0n || seconds >= 1n << 53n || micros >= 1_000_000n) {
    throw new SysError("setsockopt", "ERANGE");
  }
  return Number(seconds) * 1_000 + Math.max(0, Number(micros)) / 1_000;
}

function viewOf(value: Uint8Array, size: number): DataView {
  if (value.length < size) throw new SysError("setsockopt", "EINVAL");
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}
