/**
 * AF_VSOCK; see vsock(7).
 *
 * @module
 */
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from "../../ffi/abi/virtio_vsock.ts";
import { AF_VSOCK, SockaddrVm } from "../../ffi/abi/vm_sockets.ts";
import type { VsockAddress } from "../address.ts";
import type { Family } from "./family.ts";

/** One will do: no call of a thread starts inside of another. */
const filled: SockaddrVm = new SockaddrVm(0, 0);

/** VM sockets. */
export const VSOCK: Family<VsockAddress> = {
  name: "vsock",
  domain: AF_VSOCK,
  cutsMessages: true,
  // One packet: older kernels have a record for the last packet of a send only.
  zeroCopy: { mostBytes: VIRTIO_VSOCK_MAX_PKT_BUF_SIZE, copiesParts: true },
  encode: ({ cid, port, flags = 0 }) => new SockaddrVm(cid, port, flags).bytes,
  read(call): VsockAddress {
    call(filled.bytes);
    const { cid, port, flags } = filled;
    return flags === 0 ? { cid, port } : { cid, port, flags };
  },
};
