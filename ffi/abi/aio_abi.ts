/**
 * `<linux/aio_abi.h>` and `<sys/syscall.h>`: asynchronous I/O whose end an eventfd tells of. libc
 * has no functions for it.
 *
 * @module
 */
import { X86_64 } from "../arch.ts";
import { type Layout, layout } from "../layout.ts";

/** syscall(2): makes a context. */
export const SYS_io_setup: number = X86_64 ? 206 : 0;
/** syscall(2): ends one. */
export const SYS_io_destroy: number = X86_64 ? 207 : 1;
/** syscall(2): submits to one. */
export const SYS_io_submit: number = X86_64 ? 209 : 2;
/** syscall(2): takes what has ended. */
export const SYS_io_getevents: number = X86_64 ? 208 : 4;
/** Operation: poll(2), once; since Linux 4.18. */
export const IOCB_CMD_POLL = 5;
/** Flag: `aio_resfd` is an eventfd that counts the end. */
export const IOCB_FLAG_RESFD = 1;

/** `struct iocb`: one operation. */
export const IOCB: Layout<
  | "aio_data"
  | "aio_key"
  | "aio_rw_flags"
  | "aio_lio_opcode"
  | "aio_reqprio"
  | "aio_fildes"
  | "aio_buf"
  | "aio_nbytes"
  | "aio_offset"
  | "aio_reserved2"
  | "aio_flags"
  | "aio_resfd"
> = layout("struct iocb", "linux/aio_abi.h", {
  aio_data: "u64", // comes back in the event
  aio_key: "u32", // the kernel's
  aio_rw_flags: "i32",
  aio_lio_opcode: "u16", // IOCB_CMD_*
  aio_reqprio: "u16",
  aio_fildes: "u32",
  aio_buf: "u64", // of IOCB_CMD_POLL: POLL*
  aio_nbytes: "u64",
  aio_offset: "u64",
  aio_reserved2: "u64",
  aio_flags: "u32", // IOCB_FLAG_*
  aio_resfd: "u32",
});

/** `struct io_event`: the end of one. */
export const IO_EVENT: Layout<"data" | "obj" | "res" | "res2"> = layout(
  "struct io_event",
  "linux/aio_abi.h",
  {
    data: "u64", // aio_data
    obj: "u64", // where the struct iocb was
    res: "i64",
    res2: "i64",
  },
);
