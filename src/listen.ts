/**
 * Listening.
 *
 * @module
 */
import type { Address, HybridAddress, TcpAddress, UnixAddress } from "./address.ts";
import type { UnmixedAddress, VsockAddress } from "./address.ts";
import { requireInteger, requireObject } from "./arguments.ts";
import { selectTransport } from "./auto.ts";
import { attempt } from "./error.ts";
import { Listener } from "./listener.ts";
import { openSocket, readWanted } from "./open.ts";
import { type Permissions, permit } from "./permissions.ts";
import { requireSocketOptions, type SocketOptionValues } from "./options.ts";
import type { SocketType } from "./socket.ts";
import type { TransportChoice } from "./transport.ts";

const INT_MAX = 2 ** 31 - 1;

/** For {@linkcode listen}. */
export interface ListenOptions<A extends Address = VsockAddress> {
  /** What carries it. @default {"auto"} */
  readonly transport?: TransportChoice<A> | undefined;
  /** `"stream"`, or `"seqpacket"` for messages with bounds. @default {"stream"} */
  readonly type?: SocketType | undefined;
  /** `backlog` + 1 connections may wait to be accepted. @default {128} */
  readonly backlog?: number | undefined;
  /** Socket options for the listener and each connection that it accepts. */
  readonly options?: SocketOptionValues | undefined;
  /**
   * What this call may use; see {@linkcode restrict}, which is for all calls.
   * @default {whatever the kernel and Deno's `--deny-net` allow}
   */
  readonly permissions?: Permissions | undefined;
}

/**
 * Listens on a port of this machine; wraps socket(2), bind(2), listen(2).
 *
 * @param address Where: `cid` `VMADDR_CID_ANY` for any of this machine, `port` `VMADDR_PORT_ANY` to
 * get a free one, which `Listener.addr` then has; both are 4294967295.
 * @param options The transport and type, the backlog, socket options.
 * @returns The listener. The caller closes it; `using` does so.
 * @throws {RangeError} If a number is out of range, before anything is touched.
 * @throws {TypeError} If the address or an option is of another kind, before anything is touched.
 * @throws {VsockError} `EADDRINUSE` if the port is taken, `EACCES` below port 1024 without
 * CAP_NET_BIND_SERVICE, or if it is not permitted, `EADDRNOTAVAIL` if the CID is another machine's,
 * `ENODEV` if this machine has no transport for it.
 * @throws {FfiUnavailableError} If the transport needs libc, and this runtime cannot call it.
 *
 * @example Let the socket choose a port
 * ```ts
 * import { listen, VMADDR_PORT_ANY } from "@vsockit/vsockit";
 *
 * using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, { transport: "loopback" });
 * console.log(`listening on port ${listener.addr.port}`);
 * ```
 */
export function listen(address: VsockAddress, options?: ListenOptions): Listener<VsockAddress>;
/**
 * Listens on a TCP port; all else is as for a VM socket. `hostname` is an IP address: `0.0.0.0` or
 * `::` for any of this machine. A name is a RangeError: to look one up takes a while, for which
 * only `connect()` can wait. `port` 0 gets a free one, which `Listener.addr` then has.
 *
 * @returns The listener. The caller closes it; `using` does so.
 * @throws {VsockError} `EADDRINUSE` if the port is taken.
 */
export function listen(
  address: TcpAddress,
  options?: ListenOptions<TcpAddress>,
): Listener<TcpAddress>;
/**
 * Listens on a port of the host for the VM behind a path, by a Unix socket at `path_PORT`; all else
 * is as for a VM socket. A dead socket that is there gives way, none but this user may connect, and
 * closing unlinks it. For that Deno wants `--allow-read` and `--allow-write` of that path, or of
 * its folder where a dead socket is in the way.
 *
 * @returns The listener. The caller closes it; `using` does so.
 * @throws {VsockError} `EADDRINUSE` if somebody listens there.
 */
export function listen(
  address: HybridAddress,
  options?: ListenOptions<HybridAddress>,
): Listener<HybridAddress>;
/**
 * Listens on a path, over AF_UNIX; all else is as for a VM socket. A dead socket that is there
 * gives way, and closing unlinks it. In Deno that takes `--allow-read` and `--allow-write` of the
 * path, and for a dead socket, which is moved aside first, of its folder; without them it stays,
 * and is in the way. The umask decides who may connect.
 *
 * @returns The listener. The caller closes it; `using` does so.
 * @throws {VsockError} `EADDRINUSE` if somebody listens there, or if it is no socket.
 */
export function listen(
  address: UnixAddress,
  options?: ListenOptions<UnixAddress>,
): Listener<UnixAddress>;
/**
 * Listens on an address as people write it: `vsock::1024`, `unix:/run/app.sock` and what else
 * {@linkcode parseAddress} reads, or on an address of any family. The text may tell the type:
 * `vsock-seqpacket::5000`.
 *
 * @returns The listener. The caller closes it; `using` does so.
 * @throws {TypeError} If the text is no address; the message has the part that is wrong.
 */
export function listen<A extends UnmixedAddress>(
  address: A | string,
  options?: ListenOptions<A>,
): Listener<A>;
/** Listens on an address of any family. */
export function listen<A extends Address>(
  where: A | string,
  options: ListenOptions<A> = {},
): Listener<A> {
  requireObject("options", options);
  const { transport = "auto", backlog = 128, options: values = {} } = options;
  const wanted = readWanted(where, options.type);
  const { address } = wanted;
  requireInteger("backlog", backlog, 0, INT_MAX);
  requireSocketOptions(values, address);
  permit("listen", address, options.permissions);
  const defaults = "hostname" in address ? { reuseAddress: true } : {};
  const maker = selectTransport(transport, "listen", address);
  const socket = openSocket(maker, wanted, defaults, values);
  try {
    attempt("bind", address, () => socket.bind(address), socket);
    attempt("listen", address, () => socket.listen(backlog));
    const { rcvlowat, zeroCopySend } = values;
    return new Listener(socket, { rcvlowat, zeroCopySend });
  } catch (cause) {
    socket.close();
    throw cause;
  }
}
