/**
 * What every wrapped call of libc does: refuse bad arguments, and decide about a -1.
 *
 * @module
 */
import type { Library } from "./backend.ts";
import { ERRNO, SysError } from "./errno.ts";
import { library } from "./select.ts";
import type { Libc } from "./symbols.ts";

/**
 * What to do about a call that gave -1, asked right after it: `true` says call again (EINTR),
 * `false` that errno is `expected`, a state rather than a failure. Anything else is thrown.
 */
export function retry(op: keyof Libc, expected?: number): boolean {
  const errno = library().errno();
  if (errno === ERRNO.EINTR) return true;
  if (errno === expected) return false;
  throw new SysError(op, errno);
}

/**
 * libc, for a call on `fd`. Throws a RangeError unless that is an integer from 0: not every runtime
 * does, and a NaN that turns into 0 would be somebody else's file.
 */
export function libraryFor(fd: number): Library<Libc> {
  if ((fd | 0) !== fd || fd < 0) {
    throw new RangeError(
      `Cannot use fd: must be an integer from 0 to 2147483647: current value is ${fd}`,
    );
  }
  return library();
}

/** Wraps syscall(2), of a call that libc has no function for: what it gives. */
export function systemCall(op: string, number: number, args: readonly number[]): number {
  const { calls, errno, wide } = library();
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = args;
  const [nr, none] = [wide(number), wide(0)];
  for (;;) {
    const result = Number(calls.syscall(nr, wide(a), wide(b), wide(c), wide(d), wide(e), none));
    if (result !== -1) return result;
    const code = errno();
    if (code !== ERRNO.EINTR) throw new SysError(op, code);
  }
}

/** Throws a RangeError unless `value` is a size, offset or address that a number has exactly. */
export function requireSize(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(
      `Cannot use ${name}: must be an integer from 0 to ${Number.MAX_SAFE_INTEGER}: ` +
        `current value is ${value}`,
    );
  }
}

/** Throws a TypeError unless `value` is a typed array or a DataView. */
export function requireBytes(name: string, value: ArrayBufferView): void {
  if (!ArrayBuffer.isView(value)) {
    throw new TypeError(
      `Cannot use ${name}: must be a typed array or a DataView: current value is ${value}`,
    );
  }
}
