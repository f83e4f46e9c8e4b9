/**
 * TCP and AF_UNIX of this machine's kernel, as makers of sockets.
 *
 * @module
 */
import { IPPROTO_TCP } from "../../ffi/abi/in.ts";
import { TCP_ZEROCOPY_RECEIVE, TcpZerocopyReceive } from "../../ffi/abi/tcp.ts";
import { isDeniedMemory } from "../../ffi/backend.ts";
import { SysError } from "../../ffi/errno.ts";
import { type Address, requireAddress, type TcpAddress, type UnixAddress } from "../address.ts";
import { ipVersion } from "../resolve.ts";
import type { Capabilities, SocketMaker } from "../transport.ts";
import type { Family } from "./family.ts";
import { INET, INET6 } from "./family_inet.ts";
import { UNIX } from "./family_unix.ts";
import { openKernelSocket, openUnixSocket } from "./open.ts";
import { whyNoPages } from "./pages.ts";

function maker<A extends Address>(family: Family<A>, does: Partial<Capabilities>): SocketMaker<A> {
  return {
    name: family.name,
    capabilities: { seqpacket: false, mapRx: false, waitSync: true, ...does },
    socket: (type) => openKernelSocket(family, type),
  };
}

const tcp: Map<Family<TcpAddress>, SocketMaker<TcpAddress>> = new Map();
const unix: SocketMaker<UnixAddress> = {
  ...maker(UNIX, { seqpacket: true }),
  socket: openUnixSocket,
};

/** Refusals to map that stay; others, such as of descriptors or memory, are of the moment. */
const LASTING: ReadonlySet<string> = new Set(["ENODEV", "EOPNOTSUPP", "EINVAL", "EACCES", "EPERM"]);

/**
 * Whether TCP sockets can be mapped: since Linux 5.7, where pages are of 4096 bytes, and this
 * runtime may look at them. `undefined` where that cannot be told just now.
 */
function mapsTcp(family: Family<TcpAddress>): boolean | undefined {
  if (whyNoPages() !== undefined) return false;
  try {
    using socket = openKernelSocket(family, "stream");
    using region = socket.mapPages(1);
    const ask = new TcpZerocopyReceive();
    ask.ask(region.address, 0);
    socket.getsockopt(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, ask.bytes);
    return true;
  } catch (error) {
    if (isDeniedMemory(error)) return false;
    if (!(error instanceof SysError)) throw error;
    return LASTING.has(error.code) ? false : undefined;
  }
}

/**
 * TCP of this machine's kernel, through libc: over IPv6 where `hostname` is such an address, else
 * over IPv4. There is nothing to close.
 *
 * @throws {TypeError} If `hostname` is no string.
 * @throws {FfiUnavailableError} If the runtime cannot call libc; the message has the cure.
 */
export function openTcp(hostname: string): SocketMaker<TcpAddress> {
  requireAddress({ hostname, port: 0 });
  const family = ipVersion(hostname) === 6 ? INET6 : INET;
  const known = tcp.get(family);
  if (known !== undefined) return known;
  const mapRx = mapsTcp(family);
  const made = maker(family, { mapRx: mapRx ?? false });
  if (mapRx !== undefined) tcp.set(family, made);
  return made;
}

/**
 * AF_UNIX of this machine's kernel, through libc. There is nothing to close. Its sockets own the
 * paths that they are bound to, as `listen()` says.
 */
export function openUnix(): SocketMaker<UnixAddress> {
  return unix;
}
