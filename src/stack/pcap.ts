/**
 * Writes what a tap sees as a pcap file, which Wireshark and tshark dissect as vsock.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
} from "../../ffi/abi/virtio_vsock.ts";
import {
  AF_VSOCK_OP_CONNECT,
  AF_VSOCK_OP_CONTROL,
  AF_VSOCK_OP_DISCONNECT,
  AF_VSOCK_OP_PAYLOAD,
  AF_VSOCK_OP_UNKNOWN,
  AF_VSOCK_TRANSPORT_VIRTIO,
  AF_VSOCKMON_HDR,
} from "../../ffi/abi/vsockmon.ts";
import { requireFunction, requireObject, requireWithin } from "../arguments.ts";
import { encodeHeader, HEADER_SIZE, type Packet } from "../virtio/packet.ts";
import type { Tap } from "./node.ts";

/** Nanosecond timestamps, in the byte order of the file. */
const PCAP_MAGIC_NSEC = 0xa1b23c4d;
/** Link type VSOCK: a `struct af_vsockmon_hdr` comes first. */
const LINKTYPE_VSOCK = 271;
const FILE_HEADER_SIZE = 24;
const RECORD_HEADER_SIZE = 16;
const SNAPLEN = 1 << 18;

/** How {@linkcode pcapTap} stamps packets. */
export interface PcapOptions {
  /**
   * What the clock counts from, in milliseconds since 1970.
   *
   * @default {performance.timeOrigin} Right for the real clock.
   */
  readonly originMs?: number | undefined;
}

/**
 * Makes a tap that hands a pcap file to `write`, piece by piece: its header at once, then one piece
 * for each packet, which is its own and may be kept.
 *
 * @example Record a conversation
 * ```ts
 * import { createLoopback, pcapTap } from "@vsockit/vsockit/loopback";
 *
 * const file: Uint8Array[] = [];
 * const transport = createLoopback({ tap: pcapTap((piece) => file.push(piece)) });
 * using socket = transport.socket("stream");
 * socket.connect({ cid: 1, port: 1024 }); // REQUEST, and RST, since nobody listens
 * ```
 */
export function pcapTap(
  write: (piece: Uint8Array<ArrayBuffer>) => void,
  options: PcapOptions = {},
): Tap {
  requireFunction("write", write);
  requireObject("options", options);
  const { originMs = performance.timeOrigin } = options;
  requireWithin("originMs", originMs, 0, Number.MAX_SAFE_INTEGER);
  write(fileHeader());
  return (packet, timeMs) => write(record(packet, originMs + timeMs));
}

function fileHeader(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FILE_HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PCAP_MAGIC_NSEC, true);
  view.setUint16(4, 2, true); // version 2.4
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAPLEN, true);
  view.setUint32(20, LINKTYPE_VSOCK, true);
  return bytes;
}

function record(packet: Packet, epochMs: number): Uint8Array<ArrayBuffer> {
  const { size, at } = AF_VSOCKMON_HDR;
  const payload = packet.payload?.bytes ?? new Uint8Array(0);
  const length = size + HEADER_SIZE + payload.length;
  const bytes = new Uint8Array(RECORD_HEADER_SIZE + length);
  const view = new DataView(bytes.buffer);
  const seconds = Math.floor(epochMs / 1_000);
  view.setUint32(0, seconds, true);
  view.setUint32(4, Math.floor((epochMs - seconds * 1_000) * 1e6), true);
  view.setUint32(8, length, true);
  view.setUint32(12, length, true);
  view.setUint32(RECORD_HEADER_SIZE + at.src_cid, packet.srcCid, true);
  view.setUint32(RECORD_HEADER_SIZE + at.dst_cid, packet.dstCid, true);
  view.setUint32(RECORD_HEADER_SIZE + at.src_port, packet.srcPort, true);
  view.setUint32(RECORD_HEADER_SIZE + at.dst_port, packet.dstPort, true);
  view.setUint16(RECORD_HEADER_SIZE + at.op, monitorOp(packet.op), true);
  view.setUint16(RECORD_HEADER_SIZE + at.transport, AF_VSOCK_TRANSPORT_VIRTIO, true);
  view.setUint16(RECORD_HEADER_SIZE + at.len, HEADER_SIZE, true);
  encodeHeader(packet, view, RECORD_HEADER_SIZE + size);
  bytes.set(payload, RECORD_HEADER_SIZE + size + HEADER_SIZE);
  return bytes;
}

/** `virtio_transport_build_skb()` of the kernel: what an op is to a monitor. */
function monitorOp(op: number): number {
  switch (op) {
    case VIRTIO_VSOCK_OP_REQUEST:
    case VIRTIO_VSOCK_OP_RESPONSE:
      return AF_VSOCK_OP_CONNECT;
    case VIRTIO_VSOCK_OP_RST:
    case VIRTIO_VSOCK_OP_SHUTDOWN:
      return AF_VSOCK_OP_DISCONNECT;
    case VIRTIO_VSOCK_OP_RW:
      return AF_VSOCK_OP_PAYLOAD;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
      return AF_VSOCK_OP_CONTROL;
    default:
      return AF_VSOCK_OP_UNKNOWN;
  }
}
