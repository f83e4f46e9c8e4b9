/**
 * `<linux/vsockmon.h>`: what a capture of AF_VSOCK puts before each packet.
 *
 * @module
 */
import { type Layout, layout } from "../layout.ts";

/** Not known. */
export const AF_VSOCK_OP_UNKNOWN = 0;
/** A connection begins. */
export const AF_VSOCK_OP_CONNECT = 1;
/** A connection ends. */
export const AF_VSOCK_OP_DISCONNECT = 2;
/** Credit. */
export const AF_VSOCK_OP_CONTROL = 3;
/** Data: the payload follows the transport header. */
export const AF_VSOCK_OP_PAYLOAD = 4;
/** The transport header is a `struct virtio_vsock_hdr`. */
export const AF_VSOCK_TRANSPORT_VIRTIO = 2;

/** `struct af_vsockmon_hdr`: little endian. */
export const AF_VSOCKMON_HDR: Layout<
  "src_cid" | "dst_cid" | "src_port" | "dst_port" | "op" | "transport" | "len" | "reserved"
> = layout("struct af_vsockmon_hdr", "linux/vsockmon.h", {
  src_cid: "u64",
  dst_cid: "u64",
  src_port: "u32",
  dst_port: "u32",
  op: "u16", // AF_VSOCK_OP_*
  transport: "u16", // AF_VSOCK_TRANSPORT_*
  len: "u16", // bytes of the transport header
  reserved: ["u8", 2],
});
