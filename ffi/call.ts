/**
 * What every wrapped call of libc does: get at libc, and decide about a -1.
 *
 * @module
 */
import { requireBytes, requireFd } from "./arguments.ts";
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
  requireFd("fd", fd);
  return library();
}

/** Wraps syscall(2), of a call that libc has no function for: what it gives, an int. */
export function systemCall(op: string, number: number, args: readonly number[]): number {
  const { calls, errno, wide } = library();
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = args;
  const [nr, none] = [wide(number), wide(0)];
  for (;;) {
    const result = calls.syscall(nr, wide(a), wide(b), wide(c), wide(d), wide(e), none);
    if (result !== -1) return result;
    const code = errno();
    if (code !== ERRNO.EINTR) throw new SysError(op, code);
  }
}

/**
 * Address of the first byte of `view`, for structs that hold pointers; 0 where it has none. `view`
 * must stay reachable, with its buffer neither detached nor resized, until the call that reads the
 * struct has returned.
 */
export function pointerOf(view: ArrayBufferView): number {
  return requireBytes("view", view) === 0 ? 0 : library().pointerOf(view);
}
