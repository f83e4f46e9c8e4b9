/**
 * `<linux/netlink.h>`: messages to and from the kernel; see netlink(7).
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** Protocol of AF_NETLINK: what sockets there are. */
export const NETLINK_SOCK_DIAG = 4;
/** A request. */
export const NLM_F_REQUEST = 0x1;
/** A request for all there is. */
export const NLM_F_DUMP = 0x300;
/** Type: `struct nlmsgerr`. */
export const NLMSG_ERROR = 2;
/** Type: the end of a dump, with an int: 0 or a negative errno. */
export const NLMSG_DONE = 3;
/** Type: data was lost. */
export const NLMSG_OVERRUN = 4;
/** Each message starts at a multiple of this. */
export const NLMSG_ALIGNTO = 4;

/** `struct nlmsghdr`: before each message. */
export const NLMSGHDR: Layout<
  "nlmsg_len" | "nlmsg_type" | "nlmsg_flags" | "nlmsg_seq" | "nlmsg_pid"
> = layout("struct nlmsghdr", "linux/netlink.h", {
  nlmsg_len: "u32", // bytes, this header included
  nlmsg_type: "u16",
  nlmsg_flags: "u16", // NLM_F_*
  nlmsg_seq: "u32", // that of the request
  nlmsg_pid: "u32", // port of the one that asked
});

/** `struct nlmsgerr`: why a request failed. */
export const NLMSGERR: Layout<"error" | "msg"> = layout("struct nlmsgerr", "linux/netlink.h", {
  error: "i32", // a negative errno
  msg: NLMSGHDR, // the request's
});

/** `struct sockaddr_nl`: who sent it. */
export const SOCKADDR_NL: Layout<"nl_family" | "nl_pad" | "nl_pid" | "nl_groups"> = layout(
  "struct sockaddr_nl",
  "linux/netlink.h",
  {
    nl_family: "u16",
    nl_pad: "u16",
    nl_pid: "u32", // port; the kernel's is 0
    nl_groups: "u32",
  },
);
