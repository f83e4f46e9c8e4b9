/**
 * What a person can do about an errno that a call gave.
 *
 * @module
 */
import type { Address } from "./address.ts";
import { process } from "./runtime/builtins.ts";

const CLOSED = "it was closed before";
const CONN_CLOSED =
  "it was closed before: cancelling `readable` does so too, as leaving a `for await` over it does";

const FORBIDDEN = "a sandbox forbids such sockets: run with a profile that allows them";
const VSOCK_FORBIDDEN = "a sandbox forbids AF_VSOCK, as most containers do: " +
  "run with a seccomp profile that allows it";

type Hints = Readonly<Record<string, string>>;

/** By call and code, as `errno` alone says too little. */
const COMMON: Hints = {
  "accept EBUSY": "another accept is pending: await that one first",
  "accept ETIMEDOUT": "nobody connected within timeoutMs",
  "recv EBADF": CONN_CLOSED,
  "recv EBUSY": "another read is pending: await that one first",
  "recv ETIMEDOUT": "nothing came within timeoutMs",
  "send EBADF": CONN_CLOSED,
  "send EBUSY": "another write is pending: await that one first",
  "send EFAULT":
    "the buffer was transferred away during a zero-copy write: who knows what was sent",
  "send EPIPE": "the peer closed or reads no more, or closeWrite() was called",
  "send ETIMEDOUT": "the peer did not read within timeoutMs",
  "shutdown EBADF": CONN_CLOSED,
  "socket EACCES": FORBIDDEN,
  "socket EPERM": FORBIDDEN,
  "socket ESOCKTNOSUPPORT": "this transport has no seqpacket sockets",
};

/** By code, whatever the call. */
const ANY_CALL: Hints = {
  EBADF: CLOSED,
  EMFILE: "this process has no descriptor left: close some, or raise ulimit -n",
  ENFILE: "this machine has no descriptor left: raise fs.file-max",
  ENOSYS: "the kernel lacks a system call that this takes, or a sandbox hides it",
};

/** By the call beneath and its code, where that is another matter than the call above. */
const BENEATH: Hints = {
  "epoll_ctl ENOSPC": "this user watches too many descriptors: raise fs.epoll.max_user_watches",
  "pthread_create EAGAIN": "no other thread may start: raise ulimit -u, or pids.max of the cgroup",
  "socket EACCES": FORBIDDEN,
  "socket EPERM": FORBIDDEN,
};

const GONE = "the machine or the thread of the peer is gone, or a vsock device between was reset";

const VSOCK: Hints = {
  "bind EACCES": "ports below 1024 need CAP_NET_BIND_SERVICE",
  "bind EADDRINUSE":
    "a socket of either type has this port; VMADDR_PORT_ANY (any, in a text) lets bind choose",
  "bind EADDRNOTAVAIL":
    "this machine does not have this CID; VMADDR_CID_ANY (any, in a text) binds all it has",
  "connect ECONNRESET": "nobody listens on this port, or the queue of the listener is full",
  "connect ENETUNREACH": "the transport to this CID does not allow this connection, " +
    "as none to a host does in a network namespace whose ns_mode is local",
  "connect ENODEV":
    "no guest with this CID is up here, or no transport of this machine leads there",
  "connect ESOCKTNOSUPPORT": "the transport to this CID has no SEQPACKET",
  "connect ETIMEDOUT": "no answer: is a machine with this CID up, and does it have vsock",
  "ioctl EOPNOTSUPP": "AF_VSOCK tells this from Linux 6.11 on",
  "recv ECONNRESET": GONE,
  "recv EFAULT": "the buffer of a view was transferred away, with bytes in it that are not read; " +
    "or Linux from 6.7 to 7.0 cannot peek where a packet was read in part: read it without peek",
  "recv EOPNOTSUPP": "Linux before 6.6 cannot peek at a message",
  "recv ENOMEM":
    "rcvlowat must be less than bufferSize; or Linux before 6.2 cannot peek at a message",
  "recv ENOBUFS": "the peer sent more than the buffer holds: raise bufferSize",
  "send ECONNABORTED": "credit ended within a message, and io_uring is not allowed here to wait",
  "send ECONNRESET": GONE,
  "send ENOMEM":
    "memory is short; or, before Linux 6.2, a message does not fit in bufferSize of the peer",
  "shutdown ECONNRESET": GONE,
  "socket EAFNOSUPPORT": "the kernel has no AF_VSOCK: modprobe vsock",
  "socket EACCES": VSOCK_FORBIDDEN,
  "socket EPERM": VSOCK_FORBIDDEN,
  "socket ESOCKTNOSUPPORT":
    "this transport has no seqpacket sockets; the kernel's AF_VSOCK has them from Linux 5.14 on",
  "send EMSGSIZE": "a message must fit in bufferSize of both ends: raise it on both" +
    " (and largeBlocks of a loopback between threads)",
};

const RESET = "the peer closed with bytes unread, or its machine knows the connection no more";
const TOO_LATE = "the peer had closed before what was sent last came there: that is lost";

const NO_SCOPE = "a link-local address needs its interface behind it: fe80::1%eth0";
const NO_INTERFACE = "this machine has no interface of the name behind %";

const TCP: Hints = {
  "bind EACCES": "ports below net.ipv4.ip_unprivileged_port_start (1024) need CAP_NET_BIND_SERVICE",
  "bind EADDRINUSE": "another socket has this port; 0 lets bind choose",
  "bind EADDRNOTAVAIL": "no interface of this machine has this address; 0.0.0.0 or :: are all",
  "bind EINVAL": NO_SCOPE,
  "bind ENODEV": NO_INTERFACE,
  "connect EADDRNOTAVAIL": "no local port is left for this peer, or the local address is another's",
  "connect ECONNREFUSED": "that machine is up, and nobody listens on this port",
  "connect ECONNRESET": "that machine took the connection and ended it at once",
  "connect EHOSTUNREACH": "no machine answers at this address",
  "connect EINVAL": NO_SCOPE,
  "connect ENODEV": NO_INTERFACE,
  "connect ENETUNREACH": "this machine has no way to this address",
  "connect ETIMEDOUT": "no answer: is that machine up, and does a firewall let this port through",
  "recv ECONNRESET": RESET,
  "recv EPIPE": TOO_LATE,
  "recv ETIMEDOUT": "nothing came within timeoutMs, or the peer is out of reach",
  "send ECONNRESET": RESET,
  "shutdown ECONNRESET": RESET,
  "shutdown EPIPE": TOO_LATE,
  "socket EAFNOSUPPORT": "the kernel has no IPv6: take an IPv4 address",
};

const UNWRITABLE = "this user may not write to that folder";
const TAKEN = `somebody listens there, or it is no socket${deadHint()}`;
const NO_FOLDER = "there is no such folder";

const UNIX: Hints = {
  "bind EACCES": UNWRITABLE,
  "bind EADDRINUSE": TAKEN,
  "bind ENOENT": NO_FOLDER,
  "connect EACCES": "this user may not write to that socket, or not enter its folder",
  "connect ECONNREFUSED": "nobody listens there now: who did is gone, or it is no socket",
  "connect ENOENT": "nobody listens there: there is no such path",
  "connect EPROTOTYPE": "it takes the other type, stream or seqpacket",
  "listen EACCES": UNWRITABLE,
  "listen EADDRINUSE": TAKEN,
  "listen ENOENT": NO_FOLDER,
  "recv ECONNRESET": "the peer closed with bytes unread",
};

/** What a dead socket at a path needs to give way, where the runtime asks for permissions. */
function deadHint(): string {
  if ("Deno" in globalThis) {
    return "; a dead one gives way with --allow-read and --allow-write of its folder";
  }
  const here = process() as { readonly permission?: unknown } | undefined; // a browser has none
  if (here?.permission === undefined) return "";
  return "; a dead one gives way with --allow-fs-read and --allow-fs-write of its folder";
}

function hintsOf(address: Address | undefined): Hints {
  if (address === undefined || "cid" in address) return VSOCK;
  return "hostname" in address ? TCP : UNIX;
}

/** What to say of the option `name` where getsockopt(2) or setsockopt(2) gave `code`. */
export function optionHint(code: string, name: string): string {
  switch (code) {
    case "EBADF":
      return CLOSED;
    case "EINVAL":
      return `${name} does not take this value, or not any more`;
    case "ENOPROTOOPT":
    case "EOPNOTSUPP":
      return `this socket has no ${name}: it is of another family, or the kernel lacks it`;
    default:
      return `the option is ${name}`;
  }
}

/** The cure for `code` from `op`, by which another call fails; `undefined` where it is its own. */
export function hintBeneath(op: string, code: string): string | undefined {
  return BENEATH[`${op} ${code}`];
}

/** The usual cure for `code` from `op` on `address`; `undefined` where there is none. */
export function hintFor(
  op: string,
  code: string,
  address?: Address | undefined,
): string | undefined {
  const key = `${op} ${code}`;
  return hintsOf(address)[key] ?? COMMON[key] ?? ANY_CALL[code];
}
