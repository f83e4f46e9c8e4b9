/**
 * The kernel's other families, for the same programs: TCP and AF_UNIX.
 *
 * @module
 */
import { isIPv6 } from "node:net";
import type { Address, TcpAddress, UnixAddress } from "../address.ts";
import type { SocketMaker } from "../transport.ts";
import type { Family } from "./family.ts";
import { INET, INET6 } from "./family_inet.ts";
import { UNIX } from "./family_unix.ts";
import { openKernelSocket } from "./open.ts";

function maker<A extends Address>(family: Family<A>, seqpacket: boolean): SocketMaker<A> {
  return {
    name: family.name,
    capabilities: { seqpacket, mapRx: false, waitSync: true },
    socket: (type) => openKernelSocket(family, type),
  };
}

const tcp4: SocketMaker<TcpAddress> = maker(INET, false);
const tcp6: SocketMaker<TcpAddress> = maker(INET6, false);
const unix: SocketMaker<UnixAddress> = maker(UNIX, true);

/**
 * TCP of this machine's kernel, through libc: over IPv6 where `hostname` is such an address, else
 * over IPv4. There is nothing to close.
 */
export function openTcp(hostname: string): SocketMaker<TcpAddress> {
  return isIPv6(hostname) ? tcp6 : tcp4;
}

/** AF_UNIX of this machine's kernel, through libc. There is nothing to close. */
export function openUnix(): SocketMaker<UnixAddress> {
  return unix;
}
