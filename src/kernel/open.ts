/**
 * New sockets of the kernel, of any family.
 *
 * @module
 */
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { socket } from "../../ffi/libc.ts";
import type { Address } from "../address.ts";
import type { SocketType } from "../socket.ts";
import type { Family } from "./family.ts";
import { KernelSocket } from "./socket.ts";

const TYPES: Readonly<Record<SocketType, number>> = {
  stream: SOCK_STREAM,
  seqpacket: SOCK_SEQPACKET,
};

/** socket(2): non-blocking, and closed on exec. The caller closes it. */
export function openKernelSocket<A extends Address>(
  family: Family<A>,
  type: SocketType,
): KernelSocket<A> {
  const flags = TYPES[type];
  if (flags === undefined) {
    throw new TypeError(
      `Cannot make a socket: must be "stream" or "seqpacket": current value is ${type}`,
    );
  }
  const fd = socket(family.domain, flags | SOCK_NONBLOCK | SOCK_CLOEXEC);
  return new KernelSocket(fd, type, family);
}
