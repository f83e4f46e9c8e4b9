/** Run by kernel_full_test.ts with few descriptors allowed: what is there while all are taken. */
import { EFD_CLOEXEC } from "../../ffi/abi/eventfd.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, eventfd } from "../../ffi/libc.ts";
import { openTcp } from "../../src/kernel/elsewhere.ts";
import { uring } from "../../src/kernel/uring.ts";

/** Whether there is a ring, and pages of TCP. */
function look(): readonly boolean[] {
  return [uring() !== null, openTcp("127.0.0.1").capabilities.mapRx];
}

/** Opens descriptors until there are no more. */
function fill(): number[] {
  const fds = [eventfd(0, EFD_CLOEXEC)];
  try {
    for (;;) fds.push(eventfd(0, EFD_CLOEXEC));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
  return fds;
}

openTcp("::1"); // opens what it needs once
const fds = fill();
const full = look();
for (const fd of fds) close(fd);
console.log(JSON.stringify({ full, later: look() }));
