/**
 * What makes sockets: the one interface that all families meet.
 *
 * @module
 */
import type { Address, HybridAddress, TcpAddress, VsockAddress } from "./address.ts";
import type { Socket, SocketType } from "./socket.ts";

/** What a transport can do here and now. */
export interface Capabilities {
  /** `SOCK_SEQPACKET` works. */
  readonly seqpacket: boolean;
  /** Zero-copy receive by mapping works. */
  readonly mapRx: boolean;
  /** `Socket.waitSync()` works. */
  readonly waitSync: boolean;
}

/** A maker of sockets of one family; `A` is what that has for addresses. */
export interface SocketMaker<A extends Address = Address> {
  /** For messages and results, e.g. `"loopback"`. */
  readonly name: string;
  /** What it can do. */
  readonly capabilities: Capabilities;
  /**
   * socket(2): a new non-blocking socket. The caller closes it.
   *
   * @throws {SysError} `ESOCKTNOSUPPORT` for a type that it does not have, or what else is refused.
   */
  socket(type: SocketType): Socket<A>;
}

/** A maker of VM sockets: AF_VSOCK of the kernel, a loopback, or what stands in for them. */
export interface Transport extends SocketMaker<VsockAddress> {
  /**
   * The CID of this end: `IOCTL_VM_SOCKETS_GET_LOCAL_CID`. 4294967295 where there is none, or where
   * it is a guest's and `/dev/vsock` may not be opened, as Deno lets nobody do without `-A`.
   */
  readonly localCid: number;
}

/**
 * Which transport to use. `"auto"`: what the address is of; for a CID the first that reaches it.
 * Else one by its name, or one of your own.
 */
export type TransportChoice<A extends Address = VsockAddress> =
  | "auto"
  | TransportName<A>
  | SocketMaker<A>;

/**
 * The transports of this library for an address: `"vsock"` is the kernel's, `"loopback"` the one in
 * TypeScript that this process shares; `"tcp"`, `"hybrid"` and `"unix"` are for addresses with a
 * `hostname`, with a `path` and a `port`, and with a `path` alone.
 */
export type TransportName<A extends Address = Address> = A extends VsockAddress
  ? "vsock" | "loopback"
  : A extends TcpAddress ? "tcp"
  : A extends HybridAddress ? "hybrid"
  : "unix";
