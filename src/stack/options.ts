/**
 * Socket options of a socket over a stack, byte for byte as getsockopt(2) and setsockopt(2) have
 * them.
 *
 * @module
 */
import {
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_ERROR,
  SO_LINGER,
  SO_PROTOCOL,
  SO_RCVLOWAT,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  SO_TYPE,
  SO_ZEROCOPY,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import { encodeTimeval } from "../../ffi/abi/time.ts";
import { SO_VM_SOCKETS_ZEROCOPY } from "../../ffi/abi/virtio_vsock_usr.ts";
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD,
} from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { readTimeval, readU64, u64 } from "../option_bytes.ts";
import { setRcvlowat, takeError, updateBufferSize } from "../virtio/calls.ts";
import { DEFAULT_CONNECT_TIMEOUT_MS, type VsockSock } from "../virtio/sock.ts";
import type { Stack } from "../virtio/stack.ts";

const USEC_PER_SEC = 1_000_000n;
/** Bytes of those that are kept: `struct linger`, and `struct timeval` of 64-bit Linux. */
const KEPT_SIZES: ReadonlyMap<number, number> = new Map([
  [SO_LINGER, 8],
  [SO_RCVTIMEO, 16],
  [SO_SNDTIMEO, 16],
]);

/** Options that have no effect on a non-blocking socket, but are remembered. */
export type KeptOptions = Map<number, Uint8Array>;

/** getsockopt(2): fills `value`; the length that optlen has then. */
export function getsockopt(
  sock: VsockSock,
  kept: KeptOptions,
  level: number,
  name: number,
  value: Uint8Array,
): number {
  if (level === AF_VSOCK) return getVsockOption(sock, name, value);
  if (level !== SOL_SOCKET) throw new SysError("getsockopt", "ENOPROTOOPT");
  const size = KEPT_SIZES.get(name);
  if (size !== undefined) return copyOut(kept.get(name) ?? new Uint8Array(size), value);
  return copyOut(int32(getSocketOption(sock, name)), value);
}

/** setsockopt(2). */
export function setsockopt(
  stack: Stack,
  sock: VsockSock,
  kept: KeptOptions,
  level: number,
  name: number,
  value: Uint8Array,
): void {
  if (level === AF_VSOCK) setVsockOption(stack, sock, name, value);
  else if (level === SOL_SOCKET) setSocketOption(stack, sock, kept, name, value);
  else throw new SysError("setsockopt", "ENOPROTOOPT");
}

function viewOf(value: Uint8Array): DataView {
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}

function int32(number: number): Uint8Array {
  return new Uint8Array(Int32Array.of(number).buffer);
}

/** The generic part of getsockopt(2) cuts short what does not fit. */
function copyOut(from: Uint8Array, value: Uint8Array): number {
  const length = Math.min(from.length, value.length);
  value.set(from.subarray(0, length));
  return length;
}

function getSocketOption(sock: VsockSock, name: number): number {
  switch (name) {
    case SO_ERROR:
      return takeError(sock);
    case SO_TYPE:
      return sock.seqpacket ? SOCK_SEQPACKET : SOCK_STREAM;
    case SO_DOMAIN:
      return AF_VSOCK;
    case SO_PROTOCOL:
      return 0;
    case SO_ACCEPTCONN:
      return sock.state === "listen" ? 1 : 0;
    case SO_RCVLOWAT:
      return sock.rcvlowat;
    case SO_ZEROCOPY:
      return sock.txZerocopy ? 1 : 0;
    default:
      throw new SysError("getsockopt", "ENOPROTOOPT");
  }
}

function setSocketOption(
  stack: Stack,
  sock: VsockSock,
  kept: KeptOptions,
  name: number,
  value: Uint8Array,
): void {
  const keptSize = KEPT_SIZES.get(name);
  if (value.length < (keptSize ?? 4)) throw new SysError("setsockopt", "EINVAL");
  if (keptSize !== undefined) {
    keep(kept, name, viewOf(value));
    return;
  }
  const number = viewOf(value).getInt32(0, true);
  switch (name) {
    case SO_RCVLOWAT:
      return setRcvlowat(stack, sock, number);
    case SO_ZEROCOPY:
      if (number < 0 || number > 1) throw new SysError("setsockopt", "EINVAL");
      sock.txZerocopy = number === 1;
      return;
    default:
      throw new SysError("setsockopt", "ENOPROTOOPT");
  }
}

/** What getsockopt(2) says later: an int 0 or 1 for `l_onoff`, no time before 0. */
function keep(kept: KeptOptions, name: number, value: DataView): void {
  if (name === SO_LINGER) {
    const on = value.getInt32(0, true) !== 0;
    const seconds = on ? value.getInt32(4, true) : lingerSeconds(kept);
    kept.set(name, new Uint8Array(Int32Array.of(on ? 1 : 0, seconds).buffer));
    return;
  }
  const [sec, usec] = [value.getBigInt64(0, true), value.getBigInt64(8, true)];
  if (usec < 0n || usec >= USEC_PER_SEC) throw new SysError("setsockopt", "EDOM");
  kept.set(name, new Uint8Array(BigInt64Array.of(...(sec < 0n ? [0n, 0n] : [sec, usec])).buffer));
}

/** What is switched off stays set. */
function lingerSeconds(kept: KeptOptions): number {
  const value = kept.get(SO_LINGER);
  return value === undefined ? 0 : viewOf(value).getInt32(4, true);
}

function getVsockOption(sock: VsockSock, name: number, value: Uint8Array): number {
  const out = encodeVsockOption(sock, name);
  if (value.length < out.length) throw new SysError("getsockopt", "EINVAL");
  return copyOut(out, value);
}

function encodeVsockOption(sock: VsockSock, name: number): Uint8Array {
  switch (name) {
    case SO_VM_SOCKETS_BUFFER_SIZE:
      return u64(sock.bufferSize);
    case SO_VM_SOCKETS_BUFFER_MIN_SIZE:
      return u64(sock.bufferMinSize);
    case SO_VM_SOCKETS_BUFFER_MAX_SIZE:
      return u64(sock.bufferMaxSize);
    case SO_VM_SOCKETS_ZEROCOPY:
      return u64(sock.zerocopy ? 1 : 0);
    case SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD:
    case SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW:
      return encodeTimeval(sock.connectTimeoutMs);
    default:
      throw new SysError("getsockopt", "ENOPROTOOPT");
  }
}

function setVsockOption(stack: Stack, sock: VsockSock, name: number, value: Uint8Array): void {
  switch (name) {
    case SO_VM_SOCKETS_BUFFER_SIZE:
      updateBufferSize(stack, sock, readU64(value));
      break;
    case SO_VM_SOCKETS_BUFFER_MIN_SIZE:
      sock.bufferMinSize = readU64(value);
      updateBufferSize(stack, sock, sock.bufferSize);
      break;
    case SO_VM_SOCKETS_BUFFER_MAX_SIZE:
      sock.bufferMaxSize = readU64(value);
      updateBufferSize(stack, sock, sock.bufferSize);
      break;
    case SO_VM_SOCKETS_ZEROCOPY:
      if (sock.ss !== "unconnected") throw new SysError("setsockopt", "EOPNOTSUPP");
      sock.zerocopy = readU64(value) !== 0;
      stack.zerocopy ||= sock.zerocopy;
      break;
    case SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD:
    case SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW:
      // Whole milliseconds; the kernel rounds up to its jiffies.
      sock.connectTimeoutMs = Math.ceil(readTimeval(value)) || DEFAULT_CONNECT_TIMEOUT_MS;
      break;
    default:
      throw new SysError("setsockopt", "ENOPROTOOPT");
  }
}
