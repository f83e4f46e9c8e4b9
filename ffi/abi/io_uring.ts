/**
 * `<linux/io_uring.h>` and `<sys/syscall.h>`: calls that the kernel goes on with by itself. libc
 * has no functions for them.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** syscall(2): makes a ring. */
export const SYS_io_uring_setup = 425;
/** syscall(2): submits to a ring. */
export const SYS_io_uring_enter = 426;
/** Setup flag: `cq_entries` says how many completions the ring holds. */
export const IORING_SETUP_CQSIZE = 8;
/** Feature: completions that do not fit are kept until there is room. */
export const IORING_FEAT_NODROP = 2;
/** Enter flag: takes in what did not fit before. */
export const IORING_ENTER_GETEVENTS = 1;
/** Flag in the submission ring: completions wait for room. */
export const IORING_SQ_CQ_OVERFLOW = 2;
/** Where mmap(2) has the submission ring. */
export const IORING_OFF_SQ_RING = 0;
/** Where mmap(2) has the completion ring. */
export const IORING_OFF_CQ_RING = 0x8000000;
/** Where mmap(2) has the submission entries. */
export const IORING_OFF_SQES = 0x10000000;
/** Operation: sendmsg(2). */
export const IORING_OP_SENDMSG = 9;

/** `struct io_sqring_offsets`: where the words of the submission ring are. */
export const IO_SQRING_OFFSETS: Layout<
  "head" | "tail" | "ring_mask" | "ring_entries" | "flags" | "dropped" | "array" | "resv1" | "resv2"
> = layout("struct io_sqring_offsets", "linux/io_uring.h", {
  head: "u32", // the kernel's
  tail: "u32", // ours
  ring_mask: "u32",
  ring_entries: "u32",
  flags: "u32", // IORING_SQ_*
  dropped: "u32",
  array: "u32", // u32 indices of entries
  resv1: "u32",
  resv2: "u64", // user_addr since Linux 6.5
});

/** `struct io_cqring_offsets`: where the words of the completion ring are. */
export const IO_CQRING_OFFSETS: Layout<
  "head" | "tail" | "ring_mask" | "ring_entries" | "overflow" | "cqes" | "flags" | "resv1" | "resv2"
> = layout("struct io_cqring_offsets", "linux/io_uring.h", {
  head: "u32", // ours
  tail: "u32", // the kernel's
  ring_mask: "u32",
  ring_entries: "u32",
  overflow: "u32",
  cqes: "u32", // struct io_uring_cqe
  flags: "u32",
  resv1: "u32",
  resv2: "u64", // user_addr since Linux 6.5
});

/** `struct io_uring_params`: what `io_uring_setup` takes and tells. */
export const IO_URING_PARAMS: Layout<
  | "sq_entries"
  | "cq_entries"
  | "flags"
  | "sq_thread_cpu"
  | "sq_thread_idle"
  | "features"
  | "wq_fd"
  | "resv"
  | "sq_off"
  | "cq_off"
> = layout("struct io_uring_params", "linux/io_uring.h", {
  sq_entries: "u32",
  cq_entries: "u32",
  flags: "u32", // IORING_SETUP_*
  sq_thread_cpu: "u32",
  sq_thread_idle: "u32",
  features: "u32", // out: IORING_FEAT_*
  wq_fd: "u32",
  resv: ["u32", 3],
  sq_off: IO_SQRING_OFFSETS, // out
  cq_off: IO_CQRING_OFFSETS, // out
});

/** `struct io_uring_sqe`: one submission; of its unions, the members of `IORING_OP_SENDMSG`. */
export const IO_URING_SQE: Layout<
  | "opcode"
  | "flags"
  | "ioprio"
  | "fd"
  | "off"
  | "addr"
  | "len"
  | "msg_flags"
  | "user_data"
  | "buf_index"
  | "personality"
  | "file_index"
  | "addr3"
  | "__pad2"
> = layout("struct io_uring_sqe", "linux/io_uring.h", {
  opcode: "u8", // IORING_OP_*
  flags: "u8",
  ioprio: "u16",
  fd: "i32",
  off: "u64",
  addr: "u64", // struct msghdr
  len: "u32", // 1
  msg_flags: "u32",
  user_data: "u64", // comes back in the completion
  buf_index: "u16",
  personality: "u16",
  file_index: "u32",
  addr3: "u64",
  __pad2: ["u64", 1],
});

/** `struct io_uring_cqe`: one completion. */
export const IO_URING_CQE: Layout<"user_data" | "res" | "flags"> = layout(
  "struct io_uring_cqe",
  "linux/io_uring.h",
  {
    user_data: "u64",
    res: "i32", // the result of the call, or a negative errno
    flags: "u32",
  },
);
