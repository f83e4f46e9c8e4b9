/**
 * `<linux/vm_sockets.h>`: addresses, options and ioctls of AF_VSOCK; see vsock(7).
 *
 * @module
 */
import { requireUint } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";

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

/** Control message of level `SOL_VSOCK`, since Linux 6.7: a record of the error queue. */
export const VSOCK_RECVERR = 1;

/**
 * `struct sockaddr_vm` from `<linux/vm_sockets.h>`; see vsock(7).
 *
 * Port and context ID are in **host** byte order, unlike those of `sockaddr_in`.
 */
export const SOCKADDR_VM: Layout<
  "svm_family" | "svm_reserved1" | "svm_port" | "svm_cid" | "svm_flags" | "svm_zero"
> = layout("struct sockaddr_vm", "linux/vm_sockets.h", {
  svm_family: "u16", // sa_family_t
  svm_reserved1: "u16", // must be 0
  svm_port: "u32",
  svm_cid: "u32",
  svm_flags: "u8", // VMADDR_FLAG_TO_HOST, since Linux 5.11
  svm_zero: ["u8", 3], // must be 0
});
const { at, size } = SOCKADDR_VM;

/** A `struct sockaddr_vm` over its own 16 bytes: the kernel writes them, the getters see it. */
export class SockaddrVm {
  /** The struct itself, to hand to libc. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(size);
  readonly #view: DataView = new DataView(this.bytes.buffer);
  /**
   * Fills in the family; `cid` and `port` are unsigned 32-bit, `flags` is `VMADDR_FLAG_*`. Throws a
   * RangeError for what they cannot be.
   */
  constructor(cid: number, port: number, flags = 0) {
    requireUint("cid", cid);
    requireUint("port", port);
    requireUint("flags", flags, 0xff);
    this.#view.setUint16(at.svm_family, AF_VSOCK, true);
    this.#view.setUint32(at.svm_port, port, true);
    this.#view.setUint32(at.svm_cid, cid, true);
    this.#view.setUint8(at.svm_flags, flags);
  }
  /** Address family: `AF_VSOCK` unless libc wrote another one. */
  get family(): number {
    return this.#view.getUint16(at.svm_family, true);
  }
  /** Context ID. */
  get cid(): number {
    return this.#view.getUint32(at.svm_cid, true);
  }
  /** Port. */
  get port(): number {
    return this.#view.getUint32(at.svm_port, true);
  }
  /** `VMADDR_FLAG_*`. */
  get flags(): number {
    return this.#view.getUint8(at.svm_flags);
  }
}
