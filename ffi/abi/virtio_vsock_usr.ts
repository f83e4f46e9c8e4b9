/**
 * The receive ABI of "[RFC PATCH v3 00/11] virtio/vsock: experimental zerocopy receive": two socket
 * options and page 0 of the mapping. No released kernel has it, so no header does either.
 *
 * @module
 */

/** Option at level `AF_VSOCK`, getsockopt(2) only: maps queued packets; `optval` is the mapping. */
export const SO_VM_SOCKETS_MAP_RX = 9;
/** Option at level `AF_VSOCK`, u64 0 or 1: zero-copy receive, settable before connect(2) only. */
export const SO_VM_SOCKETS_ZEROCOPY = 10;
/** `poll_value`: the input queue is empty. */
export const POLL_VALUE_EMPTY = 0;
/** `poll_value`: there is data to read. */
export const POLL_VALUE_DATA = 1;
/** `poll_value`: no more data will be queued; dequeue until `hdr_num` is 0. */
export const POLL_VALUE_CLOSED = 0xffff_ffff;
/** Bytes of page 0, and of every data page. */
export const USR_PAGE_SIZE = 4096;
/** How many `virtio_vsock_usr_hdr` fit in page 0: (4096 - 8) / 8. */
export const USR_HDR_MAX = 511;
