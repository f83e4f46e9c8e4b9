/**
 * The two system calls of io_uring(7), for which libc has no functions.
 *
 * On failure each call throws a `SysError`, with what its man page lists under ERRORS.
 *
 * @module
 */
import { SYS_io_uring_enter, SYS_io_uring_setup } from "./abi/io_uring.ts";
import { libraryFor, requireBytes, requireSize } from "./call.ts";
import { ERRNO, SysError } from "./errno.ts";
import { library } from "./select.ts";
import type { Bytes } from "./symbols.ts";

/**
 * Wraps io_uring_setup(2): a file descriptor, which the caller closes. `params` is a
 * `struct io_uring_params`, in and out.
 */
export function io_uring_setup(entries: number, params: Bytes): number {
  requireSize("entries", entries);
  requireBytes("params", params);
  const { pointerOf } = library();
  return call("io_uring_setup", SYS_io_uring_setup, [entries, pointerOf(params)]);
}

/**
 * Wraps io_uring_enter(2): how many entries were submitted. `flags` is `IORING_ENTER_*`; it waits
 * for no completion.
 */
export function io_uring_enter(fd: number, toSubmit: number, flags: number): number {
  requireSize("toSubmit", toSubmit);
  libraryFor(fd);
  return call("io_uring_enter", SYS_io_uring_enter, [fd, toSubmit, 0, flags]);
}

function call(op: string, number: number, args: readonly number[]): number {
  const { calls, errno, wide } = library();
  const [a = 0, b = 0, c = 0, d = 0] = args;
  const [nr, none] = [wide(number), wide(0)];
  for (;;) {
    const result = Number(calls.syscall(nr, wide(a), wide(b), wide(c), wide(d), none, none));
    if (result !== -1) return result;
    const code = errno();
    if (code !== ERRNO.EINTR) throw new SysError(op, code);
  }
}
