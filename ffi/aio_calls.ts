/**
 * The system calls of asynchronous I/O, io_setup(2) and others, for which libc has no functions.
 *
 * On failure each call throws a `SysError`, with what its man page lists under ERRORS.
 *
 * @module
 */
import { SYS_io_destroy, SYS_io_getevents, SYS_io_setup, SYS_io_submit } from "./abi/aio_abi.ts";
import { requireBytes, requireSize } from "./arguments.ts";
import { systemCall } from "./call.ts";
import { library } from "./select.ts";
import type { Bytes } from "./symbols.ts";

/** Wraps io_setup(2): a context with room for `events`, which the caller destroys. */
export function io_setup(events: number): number {
  requireSize("events", events);
  const context = new BigUint64Array(1);
  systemCall("io_setup", SYS_io_setup, [events, library().pointerOf(context)]);
  return Number(context[0]);
}

/** Wraps io_destroy(2). */
export function io_destroy(context: number): void {
  systemCall("io_destroy", SYS_io_destroy, [context]);
}

/** Wraps io_submit(2) of one operation, which `iocbs` has the address of. */
export function io_submit(context: number, iocbs: Bytes): void {
  requireBytes("iocbs", iocbs);
  systemCall("io_submit", SYS_io_submit, [context, 1, library().pointerOf(iocbs)]);
}

/** Wraps io_getevents(2), waiting for nothing: how many of `count` events were written. */
export function io_getevents(context: number, events: Bytes, count: number): number {
  requireBytes("events", events);
  const into = library().pointerOf(events);
  return systemCall("io_getevents", SYS_io_getevents, [context, 0, count, into]);
}
