/**
 * The vsock device of virtual machines, in this process: a vhost-user back end that is a transport,
 * by {@linkcode createVsockDevice}.
 *
 * @module
 */
export {
  createVsockDevice,
  type VsockDevice,
  type VsockDeviceFeatures,
  type VsockDeviceOptions,
  type VsockGuestOptions,
} from "./device.ts";
export type { VsockGuest } from "./served_guest.ts";
export type { GuestCounters } from "./guest_tx.ts";
export { type PcapOptions, pcapTap } from "../stack/pcap.ts";
export type { Tap } from "../stack/node.ts";
export type { Header, Packet, Payload } from "../virtio/packet.ts";
