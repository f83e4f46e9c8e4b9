/**
 * Sockets that come from outside: inherited from a parent process, or passed by systemd.
 *
 * @module
 */
import { F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, O_NONBLOCK } from "../../ffi/abi/fcntl.ts";
import {
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_TYPE,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { isSysError } from "../../ffi/errno.ts";
import { fcntl, getsockopt } from "../../ffi/libc.ts";
import type { VsockAddress } from "../address.ts";
import { process } from "../runtime/builtins.ts";
import { Conn } from "../conn.ts";
import { toVsockError } from "../error.ts";
import { Listener } from "../listener.ts";
import type { SocketType } from "../socket.ts";
import type { Family } from "./family.ts";
import { VSOCK } from "./family_vsock.ts";
import { disown, requireUnowned } from "./owned.ts";
import { KernelSocket } from "./socket.ts";

/** First descriptor of the protocol of sd_listen_fds(3). */
const SD_LISTEN_FDS_START = 3;
const TYPES: ReadonlyMap<number, SocketType> = new Map([
  [SOCK_STREAM, "stream"],
  [SOCK_SEQPACKET, "seqpacket"],
]);

/** A descriptor that the service manager has passed. */
export interface PassedFd {
  /** The descriptor; of any kind, and its receiver's. */
  readonly fd: number;
  /** `FileDescriptorName=` of its unit; `"unknown"` where that is not told. */
  readonly name: string;
}

/**
 * What systemd has passed to this process by `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`;
 * nothing where the variables are for another process. See sd_listen_fds(3). Deno wants
 * `--allow-env` for it.
 *
 * @example Take over the listeners of a socket unit with `ListenStream=vsock::5000`
 * ```ts
 * import { adoptListener, listenFds } from "@vsockit/vsockit";
 *
 * for (const { fd, name } of listenFds()) {
 *   using listener = adoptListener(fd);
 *   console.log(`${name} is port ${listener.addr.port}`);
 * }
 * ```
 */
export function listenFds(): PassedFd[] {
  const { LISTEN_FDS = "", LISTEN_PID = "", LISTEN_FDNAMES = "" } = process().env;
  if (!/^\d+$/.test(LISTEN_FDS) || LISTEN_PID !== String(process().pid)) return [];
  const names = LISTEN_FDNAMES === "" ? [] : LISTEN_FDNAMES.split(":");
  return Array.from({ length: Math.min(Number(LISTEN_FDS), FDS_MAX) }, (_, index) => ({
    fd: SD_LISTEN_FDS_START + index,
    name: names[index] ?? "unknown",
  }));
}

/** More than any process can have, so that a wrong variable cannot fill the memory. */
const FDS_MAX = 65_536;

/**
 * Takes over `fd`, a connected socket of AF_VSOCK that this process has inherited. It is made
 * non-blocking, which it then is for every process that has it, and not inheritable. Closing the
 * connection closes it; where this throws, `fd` stays open and as it was.
 *
 * @throws {RangeError} If `fd` is no descriptor number, or is a socket's of this library already.
 * @throws {TypeError} If it is no STREAM or SEQPACKET socket of AF_VSOCK, or listens.
 * @throws {VsockError} `EBADF` if it is not open, `ENOTSOCK` if it is no socket, `ENOTCONN` if it
 * is not connected.
 */
export function adoptConn(fd: number): Conn<VsockAddress> {
  const found = inspect(fd);
  if (found.listens) throw mismatch(fd, "a connection", "a listener");
  return takeOver(fd, found, (socket) => new Conn(socket));
}

/**
 * Takes over `fd`, a listening socket of AF_VSOCK that this process has inherited, as
 * {@linkcode adoptConn} does.
 *
 * @throws {RangeError} If `fd` is no descriptor number, or is a socket's of this library already.
 * @throws {TypeError} If it is no STREAM or SEQPACKET socket of AF_VSOCK, or does not listen.
 * @throws {VsockError} `EBADF` if it is not open, `ENOTSOCK` if it is no socket.
 */
export function adoptListener(fd: number): Listener<VsockAddress> {
  const found = inspect(fd);
  if (!found.listens) throw mismatch(fd, "a listener", "a socket that does not listen");
  return takeOver(fd, found, (socket) => new Listener(socket));
}

/**
 * Takes over `fd`, any STREAM or SEQPACKET socket of AF_VSOCK, as {@linkcode adoptConn} does: for
 * those that are neither connected nor listening yet.
 *
 * @throws {RangeError} If `fd` is no descriptor number, or is a socket's of this library already.
 * @throws {TypeError} If it is another kind of socket.
 * @throws {VsockError} `EBADF` if it is not open, `ENOTSOCK` if it is no socket.
 */
export function adoptSocket(fd: number): KernelSocket {
  return takeOver(fd, inspect(fd), (socket) => socket);
}

interface Found {
  readonly type: SocketType;
  readonly listens: boolean;
}

/** What `fd` is, by asking the kernel only. */
function inspect(fd: number): Found {
  requireUnowned(fd);
  const domain = option(fd, SO_DOMAIN);
  const type = TYPES.get(option(fd, SO_TYPE));
  if (domain !== AF_VSOCK || type === undefined) {
    throw mismatch(fd, "a STREAM or SEQPACKET socket of AF_VSOCK", `one of family ${domain}`);
  }
  return { type, listens: option(fd, SO_ACCEPTCONN) !== 0 };
}

function option(fd: number, name: number): number {
  const value = new Int32Array(1);
  try {
    getsockopt(fd, SOL_SOCKET, name, value);
  } catch (cause) {
    const closed = isSysError(cause, "EBADF");
    const hint = closed ? `this process has no fd ${fd} open` : undefined;
    throw toVsockError("getsockopt", cause, undefined, hint);
  }
  return value[0]!;
}

/** Whoever had it before may have sent with MSG_ZEROCOPY, so that the kernel counts from there. */
const ADOPTED: Family<VsockAddress> = { ...VSOCK, zeroCopy: undefined };

/**
 * What `open` makes of `fd`; where it throws, as of a connection that its peer has reset by now,
 * `fd` is the caller's again, and as it was.
 */
export function takeOver<T>(
  fd: number,
  { type, listens }: Found,
  open: (socket: KernelSocket) => T,
): T {
  const [flags, inherited] = [fcntl(fd, F_GETFL), fcntl(fd, F_GETFD)];
  try {
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return open(new KernelSocket(fd, type, listens ? VSOCK : ADOPTED));
  } catch (error) {
    disown(fd);
    fcntl(fd, F_SETFL, flags);
    fcntl(fd, F_SETFD, inherited);
    throw error;
  }
}

function mismatch(fd: number, expected: string, found: string): TypeError {
  return new TypeError(`Cannot adopt fd ${fd}: must be ${expected}: current value is ${found}`);
}
