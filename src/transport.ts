/**
 * What makes sockets: the one interface that all families meet.
 *
 * @module
 */
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

/** A maker of sockets: AF_VSOCK of the kernel, or a loopback. */
export interface Transport {
  /** For messages and results, e.g. `"loopback"`. */
  readonly name: string;
  /** What it can do. */
  readonly capabilities: Capabilities;
  /** The CID of this end: `IOCTL_VM_SOCKETS_GET_LOCAL_CID`. */
  readonly localCid: number;
  /** socket(2): a new non-blocking socket. The caller closes it. */
  socket(type: SocketType): Socket;
}

/**
 * Which transport to use: `"loopback"` for the one that this process shares, `"auto"` for the first
 * that reaches the CID, or a transport of your own.
 */
export type TransportChoice = "auto" | "loopback" | Transport;
