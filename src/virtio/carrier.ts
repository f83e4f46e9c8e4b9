/**
 * What carries packets between two ends: an event loop, a ring between threads, a virtqueue.
 *
 * @module
 */
import type { Packet, Payload } from "./packet.ts";
import type { VsockSock } from "./sock.ts";

/** Whom a payload is for, and from whom; a socket is one. */
export interface Destination {
  readonly seqpacket: boolean;
  readonly local: { readonly port: number };
  readonly remote: { readonly cid: number; readonly port: number };
}

/** One way out of a stack. Packets of one connection arrive in the order they were sent. */
export interface Carrier {
  /** `false` where the peer has no SEQPACKET. */
  readonly seqpacket?: boolean;
  /** Bytes of a message that it has memory for when nothing else is under way. @default Infinity */
  readonly messageMax?: number;
  /** How often the peer has begun anew: `Stack.reset()` counts. */
  epoch?: number;
  /** Sockets whose close the peer has not agreed to; present where it may never do so. */
  readonly closing?: Set<VsockSock>;
  /**
   * Copies `data` (1 to 65536 bytes) into memory that the carrier can deliver; `undefined` where it
   * has none now. Then `Stack.tellRoom()` is called once there is. `to` says whom it is for. Of a
   * stream it may be less, from the start.
   */
  allocate(data: Uint8Array, to: Destination): Payload | undefined;
  /**
   * Takes `packet`, payload and all. Never refuses, nor throws: what does not fit now waits in
   * order. Once the packet has left, `len` is taken off its `owner`'s `bytesUnsent`.
   */
  send(packet: Packet): void;
}
