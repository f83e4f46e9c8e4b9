/**
 * `<linux/virtio_vsock.h>`: what the virtio transport puts on its queues.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** `VIRTIO_VSOCK_TYPE_STREAM`: a byte stream. */
export const VIRTIO_VSOCK_TYPE_STREAM = 1;
/** `VIRTIO_VSOCK_TYPE_SEQPACKET`: messages with bounds. */
export const VIRTIO_VSOCK_TYPE_SEQPACKET = 2;
/** Never sent. */
export const VIRTIO_VSOCK_OP_INVALID = 0;
/** Connection request. */
export const VIRTIO_VSOCK_OP_REQUEST = 1;
/** Connection accepted. */
export const VIRTIO_VSOCK_OP_RESPONSE = 2;
/** Connection refused, or gone. */
export const VIRTIO_VSOCK_OP_RST = 3;
/** Half or full close; `flags` says which. */
export const VIRTIO_VSOCK_OP_SHUTDOWN = 4;
/** Payload. */
export const VIRTIO_VSOCK_OP_RW = 5;
/** Tells the peer about credit. */
export const VIRTIO_VSOCK_OP_CREDIT_UPDATE = 6;
/** Asks the peer about credit. */
export const VIRTIO_VSOCK_OP_CREDIT_REQUEST = 7;
/** `VIRTIO_VSOCK_OP_SHUTDOWN` flag: the sender of it receives no more. */
export const VIRTIO_VSOCK_SHUTDOWN_RCV = 1;
/** `VIRTIO_VSOCK_OP_SHUTDOWN` flag: the sender of it sends no more. */
export const VIRTIO_VSOCK_SHUTDOWN_SEND = 2;
/** `VIRTIO_VSOCK_OP_RW` flag: last packet of a SEQPACKET message. */
export const VIRTIO_VSOCK_SEQ_EOM = 1;
/** `VIRTIO_VSOCK_OP_RW` flag: end of record, sent with MSG_EOR. */
export const VIRTIO_VSOCK_SEQ_EOR = 2;
/** Feature bit: the device does SEQPACKET. */
export const VIRTIO_VSOCK_F_SEQPACKET = 1;
/** Largest payload of one packet in bytes; from the kernel-internal `<linux/virtio_vsock.h>`. */
export const VIRTIO_VSOCK_MAX_PKT_BUF_SIZE = 65536;

/** `struct virtio_vsock_hdr`: before every payload. Little endian on the wire. */
export const VIRTIO_VSOCK_HDR: Layout<
  | "src_cid"
  | "dst_cid"
  | "src_port"
  | "dst_port"
  | "len"
  | "type"
  | "op"
  | "flags"
  | "buf_alloc"
  | "fwd_cnt"
> = layout("struct virtio_vsock_hdr", "linux/virtio_vsock.h", {
  src_cid: "u64",
  dst_cid: "u64",
  src_port: "u32",
  dst_port: "u32",
  len: "u32", // payload bytes
  type: "u16", // VIRTIO_VSOCK_TYPE_*
  op: "u16", // VIRTIO_VSOCK_OP_*
  flags: "u32",
  buf_alloc: "u32", // the sender's receive buffer in bytes
  fwd_cnt: "u32", // bytes taken out of it, modulo 2^32
}, { packed: true });
