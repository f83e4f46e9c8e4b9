/**
 * New sockets of the kernel, of any family.
 *
 * @module
 */
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { socket } from "../../ffi/libc.ts";
import type { Address, UnixAddress } from "../address.ts";
import { requireType } from "../arguments.ts";
import type { SocketType } from "../socket.ts";
import { type Claim, claimPath } from "./claim.ts";
import type { Family } from "./family.ts";
import { UNIX } from "./family_unix.ts";
import { KernelSocket } from "./socket.ts";
import { UnixSocket } from "./unix_socket.ts";

const TYPES: Readonly<Record<SocketType, number>> = {
  stream: SOCK_STREAM,
  seqpacket: SOCK_SEQPACKET,
};

/** Mode of a path. */
const OURS_ALONE = 0o600;

/** socket(2): non-blocking, and closed on exec. The caller closes it. */
export function openKernelSocket<A extends Address>(
  family: Family<A>,
  type: SocketType,
): KernelSocket<A> {
  return new KernelSocket(makeSocket(family.domain, type), type, family);
}

/** One of AF_UNIX that owns the path it is bound to. The caller closes it. */
export function openUnixSocket(type: SocketType): UnixSocket {
  return new UnixSocket(makeSocket(UNIX.domain, type), type, UNIX);
}

/** Who listens on a path, and the path. */
export interface PathListener {
  readonly unix: KernelSocket<UnixAddress>;
  readonly claim: Claim;
}

/**
 * One of AF_UNIX that listens on `path`, where none but this user may connect. The caller closes
 * it, and releases the path before.
 */
export function listenOnPath(path: string, backlog: number): PathListener {
  const unix = openKernelSocket(UNIX, "stream");
  let claim: Claim | undefined;
  try {
    claim = claimPath(path, () => unix.bind({ path }), OURS_ALONE);
    unix.listen(backlog);
    return { unix, claim };
  } catch (error) {
    claim?.release();
    unix.close();
    throw error;
  }
}

function makeSocket(domain: number, type: SocketType): number {
  requireType(type);
  return socket(domain, TYPES[type] | SOCK_NONBLOCK | SOCK_CLOEXEC);
}
