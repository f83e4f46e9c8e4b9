/**
 * Connecting.
 *
 * @module
 */
import { POLLOUT } from "../ffi/abi/poll.ts";
import { isSysError } from "../ffi/errno.ts";
import {
  type Addr,
  type Address,
  formatAddress,
  type HybridAddress,
  isVmPort,
  requireAddress,
  type TcpAddress,
  toAddr,
  type UnixAddress,
  type UnmixedAddress,
  type VsockAddress,
} from "./address.ts";
import { explainRefusal, selectTransport } from "./auto.ts";
import { Conn } from "./conn.ts";
import { attempt, isVsockError, toVsockError, VsockError } from "./error.ts";
import { openSocket, readWanted, type Wanted } from "./open.ts";
import { requireSocketOptions, type SocketOptionValues } from "./options.ts";
import { type Permissions, permit } from "./permissions.ts";
import { hasName, ipVersion, requireNoName, resolveName } from "./resolve.ts";
import type { Socket, SocketType } from "./socket.ts";
import type { TransportChoice } from "./transport.ts";
import { limitWait, requireWaitOptions, TIMER_MAX_MS, type WaitOptions } from "./wait/waiting.ts";

/** How often to try again while a listener of AF_UNIX has a full queue: no event tells of room. */
const QUEUE_FULL_RETRY_MS = 2;

/** For {@linkcode connect}. */
export interface ConnectOptions<A extends Address = VsockAddress> {
  /** What carries it. @default {"auto"} */
  readonly transport?: TransportChoice<A> | undefined;
  /** `"stream"`, or `"seqpacket"` for messages with bounds. @default {"stream"} */
  readonly type?: SocketType | undefined;
  /**
   * Milliseconds to wait for an answer; sets `options.connectTimeoutMs` too, unless that is given.
   * @default {2000; 5000 for a VM behind a path; minutes, the kernel's own, over TCP; else none}
   */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait: connect rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Socket options to set before connecting. */
  readonly options?: SocketOptionValues | undefined;
  /** What to bind this end to. @default {any CID, and a port that the socket chooses} */
  readonly localAddress?: A | undefined;
  /**
   * What this call may use; see {@linkcode restrict}, which is for all calls.
   * @default {whatever the kernel and Deno's `--deny-net` allow}
   */
  readonly permissions?: Permissions | undefined;
}

/**
 * Connects to a listening port on another machine, or on this one; wraps socket(2), connect(2).
 *
 * @param address Where to; `cid` and `port` are unsigned 32-bit.
 * @param options The transport and type, how long to wait, socket options.
 * @returns The open connection. The caller closes it; `using` does so.
 * @throws {RangeError} If a number is out of range, before anything is touched.
 * @throws {TypeError} If the address or an option is of another kind, before anything is touched.
 * @throws {VsockError} `ECONNRESET` if nobody listens there, `ETIMEDOUT` if nothing answers in
 * time, `ENODEV` if this machine has no way to `cid`, `EACCES` if it is not permitted.
 * @throws {FfiUnavailableError} If the transport needs libc, and this runtime cannot call it.
 *
 * @example Send a line to ourselves
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 *
 * using listener = listen({ cid: 1, port: 5004 }, { transport: "loopback" });
 * using conn = await connect({ cid: 1, port: 5004 }, { transport: "loopback" });
 * await conn.write(new TextEncoder().encode("hello\n"));
 * ```
 */
export function connect(
  address: VsockAddress,
  options?: ConnectOptions,
): Promise<Conn<VsockAddress>>;
/**
 * Connects to a TCP port; all else is as for a VM socket. `hostname` is an IP address, or a name
 * whose addresses are tried one after the other; where `localAddress` is given, those of its
 * version of IP alone. `timeoutMs` is for all of them, in equal shares. A link-local IPv6 address
 * has its interface behind it: `fe80::1%eth0`. In Deno it needs `--allow-ffi`, and `--allow-net` to
 * look up a name.
 *
 * @returns The open connection. The caller closes it; `using` does so.
 * @throws {VsockError} `ECONNREFUSED` if nobody listens there, `ETIMEDOUT` if nothing answers in
 * time.
 */
export function connect(
  address: TcpAddress,
  options?: ConnectOptions<TcpAddress>,
): Promise<Conn<TcpAddress>>;
/**
 * Connects to a port of the VM whose VMM listens on a path: Firecracker and others. All else is as
 * for a VM socket.
 *
 * @returns The open connection. The caller closes it; `using` does so.
 * @throws {VsockError} `ENOENT` if there is no such path, `ECONNREFUSED` if no VMM listens there,
 * `ECONNRESET` if nobody in the VM listens on the port.
 */
export function connect(
  address: HybridAddress,
  options?: ConnectOptions<HybridAddress>,
): Promise<Conn<HybridAddress>>;
/**
 * Connects to a listener on a path, over AF_UNIX; all else is as for a VM socket.
 *
 * @returns The open connection. The caller closes it; `using` does so.
 * @throws {VsockError} `ENOENT` if there is no such path, `ECONNREFUSED` if nobody listens there.
 */
export function connect(
  address: UnixAddress,
  options?: ConnectOptions<UnixAddress>,
): Promise<Conn<UnixAddress>>;
/**
 * Connects to where a listener of any family is bound; all else is as for its family.
 *
 * @returns The open connection. The caller closes it; `using` does so.
 */
export function connect(
  address: Addr,
  options?: ConnectOptions<Address>,
): Promise<Conn>;
/**
 * Connects to an address as people write it: `vsock://2:1024`, `tcp:[::1]:80` and what else
 * {@linkcode parseAddress} reads, or to an address of any family. The text may tell the type:
 * `vsock-seqpacket:host:5000`.
 *
 * @returns The open connection. The caller closes it; `using` does so.
 * @throws {TypeError} If the text is no address; the message has the part that is wrong.
 */
export function connect<A extends UnmixedAddress>(
  address: A | string,
  options?: ConnectOptions<A>,
): Promise<Conn<A>>;
/** Connects to an address of any family. */
export async function connect<A extends Address>(
  where: A | string,
  options: ConnectOptions<A> = {},
): Promise<Conn<A>> {
  requireWaitOptions(options);
  const { transport = "auto", timeoutMs, signal, localAddress, options: values = {} } = options;
  const wanted = readWanted(where, options.type);
  const { address } = wanted;
  const local = localAddress === undefined ? undefined : requireLocal(localAddress, address);
  requireSocketOptions(values, address);
  permit("connect", address, options.permissions);
  const plan = { ...wanted, transport, timeoutMs, signal, local, values };
  return hasName(address) ? await connectToName(address, plan) : await connectTo(plan);
}

/** `given`, to bind an end to that is to reach `address`: an address of the same family. */
function requireLocal<A extends Address>(given: A, address: Address): A {
  const local = requireAddress(given);
  requireNoName(local);
  const { transport } = toAddr(address);
  const version = versionOf(address);
  const same = toAddr<Address>(local).transport === transport;
  if (same && (version === 0 || version === versionOf(local))) return local;
  throw new TypeError(
    `Cannot use localAddress: must be one of ${version === 0 ? transport : `IPv${version}`}, ` +
      `as the address is: current value is ${formatAddress(local)}`,
  );
}

/** What to connect, where to and how. */
interface Plan<A extends Address> extends Wanted<A>, WaitOptions {
  readonly transport: TransportChoice<A>;
  readonly local: A | undefined;
  readonly values: SocketOptionValues;
}

/**
 * Tries one address of the name after the other, within one limit: each has its share of what is
 * left, so that one where nothing answers leaves time for the next.
 */
async function connectToName<A extends Address>(
  name: A & TcpAddress,
  plan: Plan<A>,
): Promise<Conn<A>> {
  const { port } = name;
  using limit = limitWait("connect", plan, name);
  const { signal } = limit;
  const end = performance.now() + (plan.timeoutMs ?? Infinity);
  let failure: unknown;
  const hostnames = await resolveName(name, signal, versionOf(plan.local));
  for (const [index, hostname] of hostnames.entries()) {
    const address: Address = { hostname, port };
    try {
      const timeoutMs = Math.max(0, end - performance.now()) / (hostnames.length - index);
      return await connectTo({ ...plan, address: address as A, signal, timeoutMs });
    } catch (cause) {
      failure = cause;
      if (signal?.aborted || !(cause instanceof VsockError) || cause.op !== "connect") break;
    }
  }
  throw failure;
}

/** 4 or 6 of an IP address; 0 where there is none, as in that of a name. */
function versionOf(address: Address | undefined): number {
  return address !== undefined && "hostname" in address ? ipVersion(address.hostname) : 0;
}

async function connectTo<A extends Address>(plan: Plan<A>): Promise<Conn<A>> {
  const { address, local, values } = plan;
  const maker = selectTransport(plan.transport, "connect", address);
  const socket = openSocket(maker, plan, timeoutOf(plan), values);
  try {
    if (local !== undefined) attempt("bind", local, () => socket.bind(local), socket);
    await connectSocket(socket, address, plan);
    return toConn(socket, address);
  } catch (cause) {
    socket.close();
    throw plan.transport === "auto" ? explainRefusal(cause, maker, address) : cause;
  }
}

/** A peer that has reset it by now is no peer any more: that is as if it had refused. */
function toConn<A extends Address>(socket: Socket<A>, address: A): Conn<A> {
  try {
    return new Conn(socket);
  } catch (cause) {
    if (!isVsockError(cause, "ENOTCONN")) throw cause;
    throw new VsockError("connect", "ECONNRESET", { address, hint: socket.hint, cause });
  }
}

/** The socket's own timeout follows `timeoutMs`, unless it is given. */
function timeoutOf<A extends Address>({ address, timeoutMs }: Plan<A>): SocketOptionValues {
  if (timeoutMs === undefined || !isVmPort(address)) return {};
  return { connectTimeoutMs: Math.min(timeoutMs, TIMER_MAX_MS) };
}

async function connectSocket<A extends Address>(
  socket: Socket<A>,
  address: A,
  options: WaitOptions,
): Promise<void> {
  try {
    let connected = tryConnect(socket, address);
    if (connected) return;
    using limit = limitWait("connect", options, address);
    while (connected === undefined) {
      await new Promise((resolve) => setTimeout(resolve, QUEUE_FULL_RETRY_MS));
      limit.signal?.throwIfAborted();
      connected = tryConnect(socket, address);
    }
    if (connected) return;
    await socket.wait(POLLOUT, limit.signal);
    const errno = socket.takeError();
    if (errno !== 0) throw new VsockError("connect", errno, { address, hint: socket.hint });
  } catch (cause) {
    throw toVsockError("connect", cause, address, socket.hint);
  }
}

/** connect(2): `undefined` where the queue of the listener is full, which only AF_UNIX says. */
function tryConnect<A extends Address>(socket: Socket<A>, address: A): boolean | undefined {
  try {
    return socket.connect(address);
  } catch (error) {
    if (isSysError(error, "EAGAIN")) return undefined;
    throw error;
  }
}
