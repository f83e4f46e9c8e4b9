/**
 * `<sys/socket.h>` and `<asm-generic/socket.h>`: types, flags and options of sockets on Linux.
 * `SOL_VSOCK` is in `<linux/vm_sockets.h>`, since Linux 6.7.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** Unix domain. */
export const AF_UNIX = 1;
/** IPv4. */
export const AF_INET = 2;
/** IPv6. */
export const AF_INET6 = 10;
/** Netlink: messages to and from the kernel. */
export const AF_NETLINK = 16;
/** Byte stream. */
export const SOCK_STREAM = 1;
/** Datagrams. */
export const SOCK_DGRAM = 2;
/** Raw. */
export const SOCK_RAW = 3;
/** Connected messages with bounds. */
export const SOCK_SEQPACKET = 5;
/** socket(2) type flag: non-blocking. */
export const SOCK_NONBLOCK = 0o4000;
/** socket(2) type flag: closed on exec. */
export const SOCK_CLOEXEC = 0o2000000;
/** The level of generic options. */
export const SOL_SOCKET = 1;
/** Level of error-queue control messages of AF_VSOCK. */
export const SOL_VSOCK = 287;
/** Option, int, read only: the socket's type. */
export const SO_TYPE = 3;
/** Option, int, read only: the pending error, cleared by reading it. */
export const SO_ERROR = 4;
/** Option, int: bytes of send buffer. */
export const SO_SNDBUF = 7;
/** Option, int: bytes of receive buffer. */
export const SO_RCVBUF = 8;
/** Option, int: let bind(2) reuse an address. */
export const SO_REUSEADDR = 2;
/** Option, int 0 or 1: look after an idle peer now and then. */
export const SO_KEEPALIVE = 9;
/** Option, `struct linger`: what close(2) waits for. */
export const SO_LINGER = 13;
/** Option, int: bytes that make a socket readable. */
export const SO_RCVLOWAT = 18;
/** Option, `struct timeval`: receive timeout. */
export const SO_RCVTIMEO = 20;
/** Option, `struct timeval`: send timeout. */
export const SO_SNDTIMEO = 21;
/** Option, int, read only: whether the socket listens. */
export const SO_ACCEPTCONN = 30;
/** Option, int, read only: the protocol. */
export const SO_PROTOCOL = 38;
/** Option, int, read only: the address family. */
export const SO_DOMAIN = 39;
/** Option, int 0 or 1: lets `MSG_ZEROCOPY` take effect. */
export const SO_ZEROCOPY = 60;
/** Out-of-band data. */
export const MSG_OOB = 0x1;
/** Look, leave it queued. */
export const MSG_PEEK = 0x2;
/** Control data was cut short. */
export const MSG_CTRUNC = 0x8;
/** On the way in: give the real length. On the way out: the message was cut short. */
export const MSG_TRUNC = 0x20;
/** Do not wait. */
export const MSG_DONTWAIT = 0x40;
/** End of record. */
export const MSG_EOR = 0x80;
/** Wait for all that was asked for. */
export const MSG_WAITALL = 0x100;
/** Read the error queue. */
export const MSG_ERRQUEUE = 0x2000;
/** EPIPE without SIGPIPE. */
export const MSG_NOSIGNAL = 0x4000;
/** recvmsg(2): descriptors that come along are closed on exec. */
export const MSG_CMSG_CLOEXEC = 0x40000000;
/** More will follow. */
export const MSG_MORE = 0x8000;
/** Send from the caller's pages. */
export const MSG_ZEROCOPY = 0x4000000;
/** shutdown(2): receive no more. */
export const SHUT_RD = 0;
/** shutdown(2): send no more. */
export const SHUT_WR = 1;
/** shutdown(2): neither. */
export const SHUT_RDWR = 2;
/** `cmsghdr` type: file descriptors. */
export const SCM_RIGHTS = 1;
/** Longest queue that listen(2) is usually given. */
export const SOMAXCONN = 4096;

/** `struct msghdr`: what sendmsg(2) and recvmsg(2) take. */
export const MSGHDR: Layout<
  | "msg_name"
  | "msg_namelen"
  | "msg_iov"
  | "msg_iovlen"
  | "msg_control"
  | "msg_controllen"
  | "msg_flags"
> = layout("struct msghdr", "sys/socket.h", {
  msg_name: "ptr",
  msg_namelen: "u32", // bytes
  msg_iov: "ptr",
  msg_iovlen: "usize", // elements
  msg_control: "ptr",
  msg_controllen: "usize", // bytes
  msg_flags: "i32", // out only
});

/** `struct cmsghdr`: before the data of every control message. */
export const CMSGHDR: Layout<"cmsg_len" | "cmsg_level" | "cmsg_type"> = layout(
  "struct cmsghdr",
  "sys/socket.h",
  {
    cmsg_len: "usize", // bytes, this header included
    cmsg_level: "i32",
    cmsg_type: "i32",
  },
);

/** `struct linger`: the value of `SO_LINGER`. */
export const LINGER: Layout<"l_onoff" | "l_linger"> = layout("struct linger", "sys/socket.h", {
  l_onoff: "i32", // 0 or 1
  l_linger: "i32", // seconds
});

/** `CMSG_ALIGN()`: `length` rounded up to where the next control message may start. */
export function CMSG_ALIGN(length: number): number {
  return Math.ceil(length / CMSGHDR.align) * CMSGHDR.align;
}

/** `CMSG_LEN()`: `cmsg_len` of a message with `length` bytes of data. */
export function CMSG_LEN(length: number): number {
  return CMSG_ALIGN(CMSGHDR.size) + length;
}

/** `CMSG_SPACE()`: bytes of buffer that a message with `length` bytes of data takes. */
export function CMSG_SPACE(length: number): number {
  return CMSG_ALIGN(CMSGHDR.size) + CMSG_ALIGN(length);
}
