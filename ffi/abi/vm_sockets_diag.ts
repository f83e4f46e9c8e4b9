/**
 * `<linux/vm_sockets_diag.h>`: questions about sockets of AF_VSOCK.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** `struct vsock_diag_req`: which sockets. */
export const VSOCK_DIAG_REQ: Layout<
  | "sdiag_family"
  | "sdiag_protocol"
  | "pad"
  | "vdiag_states"
  | "vdiag_ino"
  | "vdiag_show"
  | "vdiag_cookie"
> = layout("struct vsock_diag_req", "linux/vm_sockets_diag.h", {
  sdiag_family: "u8", // AF_VSOCK
  sdiag_protocol: "u8", // must be 0
  pad: "u16", // must be 0
  vdiag_states: "u32", // bits: 1 << TCP_LISTEN
  vdiag_ino: "u32", // must be 0
  vdiag_show: "u32", // must be 0
  vdiag_cookie: ["u32", 2],
});

/** `struct vsock_diag_msg`: one socket. */
export const VSOCK_DIAG_MSG: Layout<
  | "vdiag_family"
  | "vdiag_type"
  | "vdiag_state"
  | "vdiag_shutdown"
  | "vdiag_src_cid"
  | "vdiag_src_port"
  | "vdiag_dst_cid"
  | "vdiag_dst_port"
  | "vdiag_ino"
  | "vdiag_cookie"
> = layout("struct vsock_diag_msg", "linux/vm_sockets_diag.h", {
  vdiag_family: "u8", // AF_VSOCK
  vdiag_type: "u8", // SOCK_*
  vdiag_state: "u8", // TCP_*
  vdiag_shutdown: "u8", // 1: receives no more, 2: sends no more
  vdiag_src_cid: "u32",
  vdiag_src_port: "u32",
  vdiag_dst_cid: "u32",
  vdiag_dst_port: "u32",
  vdiag_ino: "u32",
  vdiag_cookie: ["u32", 2],
});
