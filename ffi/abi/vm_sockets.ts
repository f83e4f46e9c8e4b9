/**
 * `<linux/vm_sockets.h>`: addresses, options and ioctls of AF_VSOCK; see vsock(7).
 *
 * @module
 */

/** Address family, and the level of the `SO_VM_SOCKETS_*` options; from `<linux/socket.h>`. */
export const AF_VSOCK = 40;
/** Any CID, in bind(2). */
export const VMADDR_CID_ANY = 0xffff_ffff;
/** The hypervisor; reserved, nothing answers on Linux. */
export const VMADDR_CID_HYPERVISOR = 0;
/** This machine: local communication. */
export const VMADDR_CID_LOCAL = 1;
/** The host, seen from a guest. */
export const VMADDR_CID_HOST = 2;
/** Any port, in bind(2). */
export const VMADDR_PORT_ANY = 0xffff_ffff;
/** `svm_flags`: route to the host even where the CID names a sibling. Since Linux 5.11. */
export const VMADDR_FLAG_TO_HOST = 1;
/** Option, u64: size of this socket's receive buffer in bytes, which is the peer's credit. */
export const SO_VM_SOCKETS_BUFFER_SIZE = 0;
/** Option, u64: lower bound of `SO_VM_SOCKETS_BUFFER_SIZE` in bytes. */
export const SO_VM_SOCKETS_BUFFER_MIN_SIZE = 1;
/** Option, u64: upper bound of `SO_VM_SOCKETS_BUFFER_SIZE` in bytes. */
export const SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2;
/** In the header only: ENOPROTOOPT on Linux. */
export const SO_VM_SOCKETS_PEER_HOST_VM_ID = 3;
/** In the header only: ENOPROTOOPT on Linux. */
export const SO_VM_SOCKETS_TRUSTED = 5;
/** Option, `struct timeval` with a `long` of the ABI: connect(2) timeout. */
export const SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = 6;
/** In the header only: ENOPROTOOPT on Linux. */
export const SO_VM_SOCKETS_NONBLOCK_TXRX = 7;
/** Option, 64-bit `struct timeval`: connect(2) timeout. */
export const SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = 8;
/** ioctl(2) on `/dev/vsock`: the local CID, a u32. */
export const IOCTL_VM_SOCKETS_GET_LOCAL_CID = 0x7b9;
