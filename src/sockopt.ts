/**
 * The socket options that have a name here: what each takes, and its bytes in C's native order.
 *
 * @module
 */
import { IPPROTO_TCP } from "../ffi/abi/in.ts";
import {
  SO_KEEPALIVE,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_REUSEADDR,
  SO_SNDBUF,
  SO_ZEROCOPY,
  SOL_SOCKET,
} from "../ffi/abi/socket.ts";
import { TCP_MAXSEG, TCP_NODELAY } from "../ffi/abi/tcp.ts";
import { decodeTimeval, encodeTimeval } from "../ffi/abi/time.ts";
import { SO_VM_SOCKETS_ZEROCOPY } from "../ffi/abi/virtio_vsock_usr.ts";
import {
  AF_VSOCK,
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  SO_VM_SOCKETS_BUFFER_SIZE,
  SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD,
} from "../ffi/abi/vm_sockets.ts";
import { SysError } from "../ffi/errno.ts";
import { type Op, toVsockError } from "./error.ts";
import { optionHint } from "./hint.ts";
import { u64 } from "./option_bytes.ts";
import { shown } from "./shown.ts";
import type { AnySocket } from "./socket.ts";

/** One option: `T` is its value in TypeScript. */
export interface Sockopt<T> {
  /** Its name in `SocketOptions`. */
  readonly name: string;
  readonly level: number;
  /** Its number, `SO_*` or `TCP_*`. */
  readonly optname: number;
  /** Size of the C value in bytes. */
  readonly size: number;
  /** Throws a TypeError or RangeError unless `value` can be set. */
  check(value: T): void;
  encode(value: T): ArrayBufferView<ArrayBuffer>;
  decode(value: ArrayBuffer): T;
}

/** getsockopt(2). */
export function getOption<T>(socket: AnySocket, option: Sockopt<T>): T {
  const value = new ArrayBuffer(option.size);
  const { name, level, optname } = option;
  tryOption("getsockopt", name, () => socket.getsockopt(level, optname, new Uint8Array(value)));
  return option.decode(value);
}

/** setsockopt(2), after the check. */
export function setOption<T>(socket: AnySocket, option: Sockopt<T>, value: T): void {
  option.check(value);
  const { name, level, optname } = option;
  const bytes = new Uint8Array(option.encode(value).buffer);
  tryOption("setsockopt", name, () => socket.setsockopt(level, optname, bytes));
}

/** Calls `f`; what its socket refuses is thrown with the option's name in the hint. */
function tryOption(op: Op, name: string, f: () => void): void {
  try {
    f();
  } catch (cause) {
    const hint = cause instanceof SysError ? optionHint(cause.code, name) : undefined;
    throw toVsockError(op, cause, undefined, hint);
  }
}

const INT_MAX = 2 ** 31 - 1;

function requireNumber(name: string, value: number, max: number, whole: boolean): void {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot set ${name}: must be a number: current value is ${shown(value)}`);
  }
  if (!(value >= 0 && value <= max) || (whole && !Number.isInteger(value))) {
    const kind = whole ? "an integer" : "a number";
    throw new RangeError(
      `Cannot set ${name}: must be ${kind} from 0 to ${max}: current value is ${value}`,
    );
  }
}

function requireBoolean(name: string, value: boolean): void {
  if (typeof value !== "boolean") {
    throw new TypeError(`Cannot set ${name}: must be a boolean: current value is ${shown(value)}`);
  }
}

/** An `int` from 0 on. */
function int(name: string, level: number, optname: number): Sockopt<number> {
  return {
    name,
    level,
    optname,
    size: 4,
    check: (value) => requireNumber(name, value, INT_MAX, true),
    encode: (value) => Int32Array.of(value),
    decode: (value) => Number(new Int32Array(value)[0]),
  };
}

/** An `int` that is 0 or not. */
function flag(name: string, level: number, optname: number): Sockopt<boolean> {
  return {
    name,
    level,
    optname,
    size: 4,
    check: (value) => requireBoolean(name, value),
    encode: (value) => Int32Array.of(value ? 1 : 0),
    decode: (value) => new Int32Array(value)[0] !== 0,
  };
}

/** `unsigned long long` at level `AF_VSOCK`. */
function bytes(name: string, optname: number): Sockopt<number> {
  return {
    name,
    level: AF_VSOCK,
    optname,
    size: 8,
    check: (value) => requireNumber(name, value, Number.MAX_SAFE_INTEGER, true),
    encode: u64,
    decode: (value) => Number(new BigUint64Array(value)[0]),
  };
}

/** `struct timeval` of 64-bit words at level `AF_VSOCK`, here in milliseconds. */
function timeout(name: string, optname: number): Sockopt<number> {
  return {
    name,
    level: AF_VSOCK,
    optname,
    size: 16,
    check: (value) => requireNumber(name, value, INT_MAX, false),
    encode: encodeTimeval,
    decode: (value) => decodeTimeval(new Uint8Array(value)),
  };
}

/** Connect timeout in ms. The option is the one C's macro takes where `time_t` is a `long`. */
export const CONNECT_TIMEOUT: Sockopt<number> = timeout(
  "connectTimeoutMs",
  SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD,
);

/** Receive buffer. */
export const BUFFER_SIZE: Sockopt<number> = bytes("bufferSize", SO_VM_SOCKETS_BUFFER_SIZE);

/** Lower bound of the receive buffer. */
export const BUFFER_MIN_SIZE: Sockopt<number> = bytes(
  "bufferMinSize",
  SO_VM_SOCKETS_BUFFER_MIN_SIZE,
);

/** Upper bound of the receive buffer. */
export const BUFFER_MAX_SIZE: Sockopt<number> = bytes(
  "bufferMaxSize",
  SO_VM_SOCKETS_BUFFER_MAX_SIZE,
);

/** Bytes that make a socket readable. */
export const RCVLOWAT: Sockopt<number> = int("rcvlowat", SOL_SOCKET, SO_RCVLOWAT);

/** Zero-copy receive: a u64. */
export const ZERO_COPY_RECEIVE: Sockopt<boolean> = {
  name: "zeroCopyReceive",
  level: AF_VSOCK,
  optname: SO_VM_SOCKETS_ZEROCOPY,
  size: 8,
  check: (value) => requireBoolean("zeroCopyReceive", value),
  encode: (value) => BigUint64Array.of(value ? 1n : 0n),
  decode: (value) => new BigUint64Array(value)[0] !== 0n,
};

/** Zero-copy send. */
export const ZERO_COPY_SEND: Sockopt<boolean> = flag("zeroCopySend", SOL_SOCKET, SO_ZEROCOPY);

/** Receive buffer of the kernel's own families. */
export const RECEIVE_BUFFER_SIZE: Sockopt<number> = int("receiveBufferSize", SOL_SOCKET, SO_RCVBUF);

/** Send buffer of the kernel's own families. */
export const SEND_BUFFER_SIZE: Sockopt<number> = int("sendBufferSize", SOL_SOCKET, SO_SNDBUF);

/** An address that was just in use may be bound. */
export const REUSE_ADDRESS: Sockopt<boolean> = flag("reuseAddress", SOL_SOCKET, SO_REUSEADDR);

/** Looks after an idle peer. */
export const KEEP_ALIVE: Sockopt<boolean> = flag("keepAlive", SOL_SOCKET, SO_KEEPALIVE);

/** Small segments go at once. */
export const NO_DELAY: Sockopt<boolean> = flag("noDelay", IPPROTO_TCP, TCP_NODELAY);

/** The largest segment. */
export const MAX_SEGMENT: Sockopt<number> = int("maxSegment", IPPROTO_TCP, TCP_MAXSEG);
