/**
 * The two system calls of io_uring(7), for which libc has no functions.
 *
 * On failure each call throws a `SysError`, with what its man page lists under ERRORS.
 *
 * @module
 */
import { SYS_io_uring_enter, SYS_io_uring_setup } from "./abi/io_uring.ts";
import { requireBytes, requireSize } from "./arguments.ts";
import { libraryFor, systemCall } from "./call.ts";
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
  return systemCall("io_uring_setup", SYS_io_uring_setup, [entries, pointerOf(params)]);
}

/**
 * Wraps io_uring_enter(2): how many entries were submitted. `flags` is `IORING_ENTER_*`; it waits
 * for no completion.
 */
export function io_uring_enter(fd: number, toSubmit: number, flags: number): number {
  requireSize("toSubmit", toSubmit);
  libraryFor(fd);
  return systemCall("io_uring_enter", SYS_io_uring_enter, [fd, toSubmit, 0, flags]);
}
