/**
 * `<sys/uio.h>`: scattered buffers.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** `struct iovec`: one buffer of a scattered read or write. */
export const IOVEC: Layout<"iov_base" | "iov_len"> = layout("struct iovec", "sys/uio.h", {
  iov_base: "ptr",
  iov_len: "usize", // bytes
});
