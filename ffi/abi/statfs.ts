/**
 * `<sys/statfs.h>` and `<linux/magic.h>`: which file system a file is of.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** `struct statfs`, as fstatfs(2) fills it. */
export const STATFS: Layout<
  | "f_type"
  | "f_bsize"
  | "f_blocks"
  | "f_bfree"
  | "f_bavail"
  | "f_files"
  | "f_ffree"
  | "f_fsid"
  | "f_namelen"
  | "f_frsize"
  | "f_flags"
  | "f_spare"
> = layout("struct statfs", "sys/statfs.h", {
  f_type: "i64", // *_MAGIC
  f_bsize: "i64", // bytes of a block: of huge pages, of one of those
  f_blocks: "u64",
  f_bfree: "u64",
  f_bavail: "u64",
  f_files: "u64",
  f_ffree: "u64",
  f_fsid: ["i32", 2],
  f_namelen: "i64",
  f_frsize: "i64",
  f_flags: "i64",
  f_spare: ["i64", 4],
});

/** `f_type` of memory in huge pages. */
export const HUGETLBFS_MAGIC = 0x958458f6;
