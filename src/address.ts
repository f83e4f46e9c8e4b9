/**
 * Addresses of AF_VSOCK: a context ID and a port, both unsigned 32-bit.
 *
 * @module
 */
import { VMADDR_FLAG_TO_HOST } from "../ffi/abi/vm_sockets.ts";

/** Where a socket is: a context ID (the machine) and a port, as `struct sockaddr_vm` has them. */
export interface VsockAddress {
  /** Context ID, unsigned 32-bit: 1 is this machine, 2 the host, 4294967295 any (bind only). */
  readonly cid: number;
  /** Port, unsigned 32-bit, host byte order; 4294967295 lets bind choose. */
  readonly port: number;
  /** `svm_flags`; `VMADDR_FLAG_TO_HOST` (1) is the only legal one. @default {0} */
  readonly flags?: number;
}

/** An address as a connection or a listener shows it; the shape of Deno's `VsockAddr`. */
export interface VsockAddr {
  /** Always `"vsock"`. */
  readonly transport: "vsock";
  /** Context ID, unsigned 32-bit; 4294967295 for any. */
  readonly cid: number;
  /** Port, unsigned 32-bit. */
  readonly port: number;
}

const U32_MAX = 0xffff_ffff;

/** Throws unless `value` is an unsigned 32-bit integer; `name` is for the message. */
export function requireU32(name: string, value: number): void {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot use ${name}: must be a number: current value is ${value}`);
  }
  if (!Number.isInteger(value) || value < 0 || value > U32_MAX) {
    throw new RangeError(
      `Cannot use ${name}: must be an integer from 0 to ${U32_MAX}: current value is ${value}`,
    );
  }
}

/** Throws a `TypeError` or `RangeError` unless `address` can stand in a `sockaddr_vm`. */
export function requireAddress(address: VsockAddress): void {
  if (typeof address !== "object" || address === null) {
    throw new TypeError(`Cannot use address: must be an object: current value is ${address}`);
  }
  requireU32("cid", address.cid);
  requireU32("port", address.port);
  const { flags = 0 } = address;
  if (flags !== 0 && flags !== VMADDR_FLAG_TO_HOST) {
    throw new RangeError(`Cannot use flags: must be 0 or 1: current value is ${flags}`);
  }
}

/** The public form of a socket's address. */
export function toVsockAddr({ cid, port }: VsockAddress): VsockAddr {
  return { transport: "vsock", cid, port };
}

/** `cid:port` in decimal, as messages and logs print an address. */
export function formatAddress(address: VsockAddress): string {
  return `${address.cid}:${address.port}`;
}
