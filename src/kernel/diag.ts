/**
 * Which sockets of AF_VSOCK there are, by vsock_diag over netlink.
 *
 * @module
 */
import { NETLINK_SOCK_DIAG, SOCKADDR_NL } from "../../ffi/abi/netlink.ts";
import { PollFds, POLLIN } from "../../ffi/abi/poll.ts";
import { AF_NETLINK, MSG_DONTWAIT, MSG_TRUNC } from "../../ffi/abi/socket.ts";
import { SOCK_CLOEXEC, SOCK_RAW } from "../../ffi/abi/socket.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, poll, recvmsg, send, socket } from "../../ffi/libc.ts";
import { Message } from "../../ffi/message.ts";
import { VsockError } from "../error.ts";
import { decodeDiagReply, encodeDiagRequest, type SocketEntry } from "./diag_message.ts";

/** The kernel fills at most 32 KiB at once. */
const REPLY_BYTES = 65_536;
const ANSWER_MS = 5_000;
/** More than a machine has, so that a wrong answer cannot fill the memory. */
const SOCKETS_MAX = 1 << 20;

/** How {@linkcode listSockets} reaches the kernel: one datagram of an answer. */
export type ReadReply = () => Uint8Array;

/**
 * The sockets of AF_VSOCK of this machine that are bound or connected, of every process; where the
 * kernel has network namespaces for AF_VSOCK, those of this one.
 *
 * @throws {FfiUnavailableError} If the runtime cannot call libc.
 * @throws {VsockError} `ENOENT` if the kernel has no `vsock_diag`; its `hint` says what to do.
 *
 * @example Print who listens
 * ```ts ignore
 * import { listSockets } from "@vsockit/vsockit";
 *
 * for (const { state, local } of listSockets()) {
 *   if (state === "LISTEN") console.log(local.port);
 * }
 * ```
 */
export function listSockets(): SocketEntry[] {
  try {
    const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    try {
      const sequence = Math.floor(Math.random() * 0xffff_ffff) + 1;
      send(fd, encodeDiagRequest(sequence), 0);
      return collect(sequence, replies(fd));
    } finally {
      close(fd);
    }
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    const op = cause.op === "socket" || cause.op === "send" || cause.op === "poll"
      ? cause.op
      : "recv";
    throw new VsockError(op, cause.errno, { cause, hint: hintOf(cause.code) });
  }
}

/** All sockets of a dump whose datagrams `read` gives. */
export function collect(sequence: number, read: ReadReply): SocketEntry[] {
  const all: SocketEntry[] = [];
  for (;;) {
    const { sockets, done } = decodeDiagReply(read(), sequence);
    if (all.length + sockets.length > SOCKETS_MAX) throw new SysError("recv", "EOVERFLOW");
    all.push(...sockets);
    if (done) return all;
  }
}

/** The datagrams that come from the kernel, each in the same buffer. */
function replies(fd: number): ReadReply {
  const buffer = new Uint8Array(REPLY_BYTES);
  const name = new DataView(new ArrayBuffer(SOCKADDR_NL.size));
  const message = new Message([buffer], { name });
  const fds = new PollFds(1);
  fds.set(0, fd, POLLIN);
  return () => {
    for (;;) {
      if (poll(fds, ANSWER_MS) === 0) throw new SysError("recv", "ETIMEDOUT");
      const length = recvmsg(fd, message, MSG_DONTWAIT);
      // Whoever else may send to this socket is not asked.
      if (length < 0 || name.getUint32(SOCKADDR_NL.at.nl_pid, true) !== 0) continue;
      if (message.flags & MSG_TRUNC) throw new SysError("recv", "EMSGSIZE");
      return buffer.subarray(0, length);
    }
  };
}

function hintOf(code: string): string | undefined {
  switch (code) {
    case "ENOENT":
    case "EPROTONOSUPPORT":
      return "the kernel has no vsock_diag here: modprobe vsock_diag";
    case "ETIMEDOUT":
      return "the kernel did not answer";
    case "EPROTO":
      return "the answer cannot be read";
    default:
      return undefined;
  }
}
