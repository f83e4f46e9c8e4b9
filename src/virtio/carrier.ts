/**
 * What carries packets between two ends: an event loop, a ring between threads, a virtqueue.
 *
 * @module
 */
import type { Packet, Payload } from "./packet.ts";

/** One way out of a stack. Packets of one connection arrive in the order they were sent. */
export interface Carrier {
  /**
   * Copies `data` (1 to 65536 bytes) into memory that the carrier can deliver; `undefined` where it
   * has none now. Then `Stack.room()` is called once there is. The numbers say whom it is for.
   */
  allocate(data: Uint8Array, dstCid: number, dstPort: number, srcPort: number): Payload | undefined;
  /**
   * Takes `packet`, payload and all. Never refuses: what does not fit now waits in order. Once the
   * packet has left, `len` is taken off its `owner`'s `bytesUnsent`.
   */
  send(packet: Packet): void;
}
