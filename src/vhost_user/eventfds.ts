/**
 * Eventfds that a VMM has made: it may clear O_NONBLOCK, which all who have the file share, and a
 * call that blocks would hold this thread for ever.
 *
 * @module
 */
import { F_SETFL, O_NONBLOCK } from "../../ffi/abi/fcntl.ts";
import { SysError } from "../../ffi/errno.ts";
import { fcntl, read, readNoWait, write } from "../../ffi/libc.ts";
import { type Signaller, signaller } from "./signaller.ts";

/** What an eventfd tells. */
const counter = new Uint8Array(8);
/** What an eventfd is told. */
const ONE: Uint8Array<ArrayBuffer> = new Uint8Array(BigUint64Array.of(1n).buffer);

/** Clears the counter: bytes read, or `WOULD_BLOCK`. */
export function takeEvents(fd: number): number {
  try {
    return readNoWait(fd, counter);
  } catch (error) {
    if (!(error instanceof SysError && UNKNOWN.has(error.code))) throw error;
  }
  fcntl(fd, F_SETFL, O_NONBLOCK); // before Linux 5.8
  return read(fd, counter);
}

/**
 * Counts one more, where there is room for it. For writes there is no flag that this call alone
 * has: without a signaller, a VMM that clears O_NONBLOCK again and again would be waited for.
 */
export function signalEvent(fd: number, by: Signaller | null = signaller()): void {
  try {
    if (by !== null) return by.signal(fd);
  } catch (error) {
    if (!(error instanceof SysError)) throw error; // no memory for it
  }
  fcntl(fd, F_SETFL, O_NONBLOCK);
  write(fd, ONE);
}

/** What a kernel without it says, or a sandbox that does not know it. */
const UNKNOWN: ReadonlySet<string> = new Set(["EOPNOTSUPP", "ENOSYS", "EPERM"]);
