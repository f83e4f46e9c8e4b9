/**
 * Addresses as libc takes and gives them.
 *
 * @module
 */
import { SockaddrVm } from "../../ffi/abi/vm_sockets.ts";
import type { VsockAddress } from "../address.ts";

/** One will do: no call of a thread starts inside of another. */
const filled: SockaddrVm = new SockaddrVm(0, 0);

/** The `struct sockaddr_vm` of `address`. */
export function encodeAddress({ cid, port, flags = 0 }: VsockAddress): Uint8Array<ArrayBuffer> {
  return new SockaddrVm(cid, port, flags).bytes;
}

/** The address that `call` fills in; without `flags` where there are none. */
export function readAddress(call: (bytes: Uint8Array<ArrayBuffer>) => unknown): VsockAddress {
  call(filled.bytes);
  const { cid, port, flags } = filled;
  return flags === 0 ? { cid, port } : { cid, port, flags };
}
