/**
 * recv(2) and shutdown(2) on a socket that was connected once, and how such a connection ended.
 *
 * @module
 */
import { POLLHUP, POLLRDHUP } from "../../ffi/abi/poll.ts";
import { MSG_PEEK, MSG_TRUNC } from "../../ffi/abi/socket.ts";
import { type Code, isSysError, SysError } from "../../ffi/errno.ts";
import type { AnySocket, MessageFlags } from "../socket.ts";
import { BUFFER_SIZE, getOption } from "../sockopt.ts";

const NOTHING: Uint8Array = new Uint8Array(0);

/** Errors of a call, or of a peer that reads no more: no connection ends by one of them. */
const ORDINARY: ReadonlySet<string> = new Set<Code>(
  ["EPIPE", "EMSGSIZE", "EBADF", "ENOTCONN", "EFAULT", "EINVAL", "EOPNOTSUPP", "ENOMEM"],
);

const CANNOT_PEEK: ReadonlySet<string> = new Set<Code>(["EOPNOTSUPP", "ENOMEM"]);

/** Linux hands out the error that ended a connection once, to whoever asks first. */
const ends = new WeakMap<AnySocket, number>();

/** Remembers an error, so that whoever reads later does not take the end for a clean one. */
function noteError(socket: AnySocket, error: unknown): void {
  if (error instanceof SysError && !ORDINARY.has(error.code)) ends.set(socket, error.errno);
}

/** Remembers an error of send(2) that has ended the connection. */
export function noteSendError(socket: AnySocket, error: unknown): void {
  // That the peer overran its credit, a stream tells one call, and fails each send from then on;
  // where those go on, memory was short.
  const passes = isSysError(error, "ENOBUFS") && (socket.type === "seqpacket" || isRead(socket));
  if (!passes) noteError(socket, error);
}

/**
 * Whether the peer of a stream, or of a socket of AF_VSOCK, still reads, where this end may send: a
 * send of nothing fails otherwise.
 */
export function isRead(socket: AnySocket): boolean {
  try {
    socket.send(NOTHING, 0);
    return true;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

/** Remembers the error of `SO_ERROR` that another call has taken, for {@linkcode endError}. */
export function noteEndError(socket: AnySocket, errno: number): void {
  ends.set(socket, errno);
}

/** The errno that ended the connection; 0 for a clean end. */
export function endError(socket: AnySocket): number {
  const known = ends.get(socket);
  if (known !== undefined) return known;
  const errno = socket.takeError();
  if (errno !== 0) ends.set(socket, errno);
  return errno;
}

/**
 * `Socket.recv()` that gives 0 for a clean end alone: where an error is pending, or was, it throws
 * that.
 *
 * ENOTCONN is an end of stream too: Linux forgets that the connection is over when this end is shut
 * down after the peer has closed (`vsock_shutdown()` in net/vmw_vsock/af_vsock.c clears SOCK_DONE).
 */
export function recvConnected(
  socket: AnySocket,
  buffer: Uint8Array,
  flags: number,
  out?: MessageFlags,
): number {
  const n = recvOrEnd(socket, buffer, flags, out);
  if (n !== 0 || buffer.length === 0) return n;
  const errno = endError(socket);
  if (errno !== 0) throw new SysError("recv", errno);
  return 0;
}

/**
 * How long the next message of a SEQPACKET socket is, or at most is: Linux before 6.6 cannot peek
 * at one (EOPNOTSUPP, before 6.2 ENOMEM), but none is longer than the buffer whose credit it took.
 *
 * @param probe A byte to peek into.
 * @returns Bytes, or `WOULD_BLOCK`.
 */
export function nextLength(socket: AnySocket, probe: Uint8Array): number {
  try {
    return recvConnected(socket, probe, MSG_PEEK | MSG_TRUNC);
  } catch (error) {
    if (!(error instanceof SysError && CANNOT_PEEK.has(error.code))) throw error;
    return getOption(socket, BUFFER_SIZE);
  }
}

/** What a recv of 0 bytes was where there are messages: the end, or a message without bytes. */
export function isEnd(socket: AnySocket): boolean {
  const over = (socket.poll(POLLRDHUP) & (POLLRDHUP | POLLHUP)) !== 0;
  // AF_UNIX tells that the peer has closed before its last messages are read.
  return over && (socket.inq?.() ?? 0) === 0;
}

function recvOrEnd(
  socket: AnySocket,
  buffer: Uint8Array,
  flags: number,
  out: MessageFlags | undefined,
): number {
  try {
    return socket.recv(buffer, flags, out);
  } catch (error) {
    if (!isSysError(error, "ENOTCONN")) {
      noteError(socket, error);
      throw error;
    }
    if (out !== undefined) out.flags = 0;
    return 0;
  }
}

/**
 * `Socket.shutdown()` of a connection: where that is over already, it throws the error that ended
 * it; after a clean end there is nothing left to shut down.
 */
export function shutdownConnected(socket: AnySocket, how: number): void {
  try {
    socket.shutdown(how);
  } catch (error) {
    if (!isSysError(error, "ENOTCONN")) throw error;
    const errno = endError(socket);
    if (errno !== 0) throw new SysError("shutdown", errno);
  }
}
