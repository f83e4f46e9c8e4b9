/**
 * VM sockets without a kernel: in one event loop, with faults and a seed for tests, by
 * {@linkcode createLoopback}; or between two threads, by {@linkcode createLoopbackLink}.
 *
 * @module
 */
export { createLoopback, type LoopbackOptions, type LoopbackTransport } from "./transport.ts";
export type { LoopbackFaults } from "./chaos.ts";
export { type Clock, ManualClock, realClock } from "../stack/clock.ts";
export {
  createLoopbackLink,
  type LinkedLoopback,
  type LoopbackEnd,
  type LoopbackLinkOptions,
  openLoopback,
} from "./shared.ts";
export type { Lane, LinkEnd, LinkOptions } from "./link_memory.ts";
export type { Header, Packet, Payload } from "../virtio/packet.ts";
export { type PcapOptions, pcapTap } from "../stack/pcap.ts";
export type { Tap } from "../stack/node.ts";
