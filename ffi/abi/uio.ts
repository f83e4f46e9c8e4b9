/**
 * `<sys/uio.h>` and `<sys/syscall.h>`: scattered buffers; needs `_GNU_SOURCE`.
 *
 * @module
 */
import { X86_64 } from "../arch.ts";
import { type Layout, layout } from "../layout.ts";

/** `struct iovec`: one buffer of a scattered read or write. */
export const IOVEC: Layout<"iov_base" | "iov_len"> = layout("struct iovec", "sys/uio.h", {
  iov_base: "ptr",
  iov_len: "usize", // bytes
});
/** preadv2(2): EAGAIN rather than to wait, whatever O_NONBLOCK says. */
export const RWF_NOWAIT = 8;
/** syscall(2): preadv2(2), for which not every libc has a function. */
export const SYS_preadv2: number = X86_64 ? 327 : 286;
