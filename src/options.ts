/**
 * Socket options by name.
 *
 * @module
 */
import { type Address, formatAddress, isVmPort } from "./address.ts";
import { requireKnown, requireObject } from "./arguments.ts";
import { shown } from "./shown.ts";
import type { AnySocket } from "./socket.ts";
import {
  BUFFER_MAX_SIZE,
  BUFFER_MIN_SIZE,
  BUFFER_SIZE,
  CONNECT_TIMEOUT,
  getOption,
  KEEP_ALIVE,
  MAX_SEGMENT,
  NO_DELAY,
  RCVLOWAT,
  RECEIVE_BUFFER_SIZE,
  REUSE_ADDRESS,
  SEND_BUFFER_SIZE,
  setOption,
  type Sockopt,
  ZERO_COPY_RECEIVE,
  ZERO_COPY_SEND,
} from "./sockopt.ts";

/**
 * Options to set on a socket, by name; what is left out stays as it is. Some are of one family
 * only: another one refuses them before anything is touched.
 */
export interface SocketOptionValues {
  /**
   * AF_VSOCK: bytes of receive buffer, which is the credit of the peer. `connect()` and `listen()`
   * move `bufferMaxSize` or `bufferMinSize` where it would else be clamped.
   * @default {262144}
   */
  readonly bufferSize?: number | undefined;
  /** AF_VSOCK: lower bound of `bufferSize` in bytes. @default {128} */
  readonly bufferMinSize?: number | undefined;
  /** AF_VSOCK: upper bound of `bufferSize` in bytes. @default {262144} */
  readonly bufferMaxSize?: number | undefined;
  /**
   * AF_VSOCK: milliseconds that a connect waits for an answer; 0 for the default.
   * @default {2000}
   */
  readonly connectTimeoutMs?: number | undefined;
  /** Bytes that make a STREAM socket readable. @default {1} */
  readonly rcvlowat?: number | undefined;
  /**
   * AF_VSOCK, `SO_VM_SOCKETS_ZEROCOPY`: zero-copy receive by mapping; TCP needs no option.
   * @default {false}
   */
  readonly zeroCopyReceive?: boolean | undefined;
  /** `SO_ZEROCOPY`: lets `MSG_ZEROCOPY` take effect. @default {false} */
  readonly zeroCopySend?: boolean | undefined;
  /**
   * TCP and AF_UNIX, `SO_RCVBUF`: bytes of receive buffer, up to `net.core.rmem_max`. Over TCP it
   * ends the kernel's own tuning; set before connect or listen it bounds the window.
   * @default {what the kernel finds best}
   */
  readonly receiveBufferSize?: number | undefined;
  /** TCP and AF_UNIX, `SO_SNDBUF`: bytes of send buffer, up to `net.core.wmem_max`. */
  readonly sendBufferSize?: number | undefined;
  /** TCP, `TCP_NODELAY`: small segments go at once. @default {false} */
  readonly noDelay?: boolean | undefined;
  /**
   * TCP, `TCP_MAXSEG`: bytes of the largest segment with the options in it, set before connect or
   * listen. 4108, a page and the timestamp option, on both ends lets each segment be a page that
   * can be mapped.
   * @default {what the way to the peer takes}
   */
  readonly maxSegment?: number | undefined;
  /** TCP, `SO_KEEPALIVE`: looks after an idle peer now and then. @default {false} */
  readonly keepAlive?: boolean | undefined;
  /**
   * TCP, `SO_REUSEADDR`: listens on a port that connections of before still have.
   * @default {true for `listen()`, false for `connect()`}
   */
  readonly reuseAddress?: boolean | undefined;
}

/** Those that not every family has, and which ones do. */
const FAMILIES: Readonly<Partial<Record<keyof SocketOptionValues, readonly string[]>>> = {
  bufferSize: ["vsock"],
  bufferMinSize: ["vsock"],
  bufferMaxSize: ["vsock"],
  connectTimeoutMs: ["vsock"],
  zeroCopyReceive: ["vsock"],
  receiveBufferSize: ["tcp", "unix"],
  sendBufferSize: ["tcp", "unix"],
  noDelay: ["tcp"],
  maxSegment: ["tcp"],
  keepAlive: ["tcp"],
  reuseAddress: ["tcp"],
};

/** In the order they are set: bounds before the size that they bound. */
const BY_NAME: Readonly<Record<keyof SocketOptionValues, Sockopt<number> | Sockopt<boolean>>> = {
  bufferMaxSize: BUFFER_MAX_SIZE,
  bufferMinSize: BUFFER_MIN_SIZE,
  bufferSize: BUFFER_SIZE,
  connectTimeoutMs: CONNECT_TIMEOUT,
  rcvlowat: RCVLOWAT,
  zeroCopyReceive: ZERO_COPY_RECEIVE,
  zeroCopySend: ZERO_COPY_SEND,
  receiveBufferSize: RECEIVE_BUFFER_SIZE,
  sendBufferSize: SEND_BUFFER_SIZE,
  noDelay: NO_DELAY,
  maxSegment: MAX_SEGMENT,
  keepAlive: KEEP_ALIVE,
  reuseAddress: REUSE_ADDRESS,
};

/** Those of `values` that are given, in the order to set them. */
function* given(values: SocketOptionValues): Generator<[Sockopt<number | boolean>, never]> {
  for (const [name, option] of Object.entries(BY_NAME)) {
    const value = values[name as keyof SocketOptionValues];
    if (value !== undefined) yield [option as Sockopt<number | boolean>, value as never];
  }
}

/** Throws a TypeError or RangeError unless all of `values` can be set on a socket for `address`. */
export function requireSocketOptions(values: SocketOptionValues, address: Address): void {
  requireKnown("options", values, Object.keys(BY_NAME));
  for (const [option, value] of given(values)) option.check(value);
  const family = isVmPort(address) ? "vsock" : "hostname" in address ? "tcp" : "unix";
  for (const [name, families] of Object.entries(FAMILIES)) {
    const value = values[name as keyof SocketOptionValues];
    if (value === undefined || families.includes(family)) continue;
    throw new TypeError(
      `Cannot set ${name}: must be on a socket of ${families.join(" or ")}: ` +
        `current value is ${shown(value)} for ${formatAddress(address)}`,
    );
  }
}

/** Sets what `values` has, after moving the bound that `bufferSize` is beyond. */
export function applySocketOptions(socket: AnySocket, values: SocketOptionValues): void {
  const { bufferSize } = values;
  if (bufferSize !== undefined) {
    if (bufferSize > getOption(socket, BUFFER_MAX_SIZE)) {
      setOption(socket, BUFFER_MAX_SIZE, bufferSize);
    }
    if (bufferSize < getOption(socket, BUFFER_MIN_SIZE)) {
      setOption(socket, BUFFER_MIN_SIZE, bufferSize);
    }
  }
  for (const [option, value] of given(values)) setOption(socket, option, value);
}

/**
 * The options of one socket, live: reading wraps getsockopt(2), assigning wraps setsockopt(2). A
 * wrong type or range throws TypeError or RangeError, a refusal throws `VsockError`.
 *
 * @example Read the credit that a peer has
 * ```ts
 * import { listen } from "@vsockit/vsockit";
 *
 * using listener = listen({ cid: 1, port: 5001 }, { transport: "loopback" });
 * listener.options.bufferSize = 131_072;
 * console.log(listener.options.bufferSize);
 * ```
 */
export class SocketOptions {
  readonly #socket: AnySocket;

  /** Over a socket that stays its owner's. */
  constructor(socket: AnySocket) {
    requireObject("socket", socket);
    this.#socket = socket;
  }

  /** `SO_VM_SOCKETS_BUFFER_SIZE` in bytes; the two bounds clamp what is assigned. */
  get bufferSize(): number {
    return getOption(this.#socket, BUFFER_SIZE);
  }
  set bufferSize(bytes: number) {
    setOption(this.#socket, BUFFER_SIZE, bytes);
  }

  /** `SO_VM_SOCKETS_BUFFER_MIN_SIZE` in bytes. */
  get bufferMinSize(): number {
    return getOption(this.#socket, BUFFER_MIN_SIZE);
  }
  set bufferMinSize(bytes: number) {
    setOption(this.#socket, BUFFER_MIN_SIZE, bytes);
  }

  /** `SO_VM_SOCKETS_BUFFER_MAX_SIZE` in bytes; raising it does not raise `bufferSize`. */
  get bufferMaxSize(): number {
    return getOption(this.#socket, BUFFER_MAX_SIZE);
  }
  set bufferMaxSize(bytes: number) {
    setOption(this.#socket, BUFFER_MAX_SIZE, bytes);
  }

  /** `SO_VM_SOCKETS_CONNECT_TIMEOUT` in milliseconds; 0 assigns the default, 2000. */
  get connectTimeoutMs(): number {
    return getOption(this.#socket, CONNECT_TIMEOUT);
  }
  set connectTimeoutMs(ms: number) {
    setOption(this.#socket, CONNECT_TIMEOUT, ms);
  }

  /**
   * `SO_RCVLOWAT`: the bytes that a wait for data waits for. 0 assigns 1. AF_VSOCK heeds it from
   * Linux 6.1 on; before 6.8, set it before the first read, or the sender may not hear of the room.
   */
  get rcvlowat(): number {
    return getOption(this.#socket, RCVLOWAT);
  }
  set rcvlowat(bytes: number) {
    setOption(this.#socket, RCVLOWAT, bytes);
  }

  /** `SO_VM_SOCKETS_ZEROCOPY`: zero-copy receive; settable before connect or listen only. */
  get zeroCopyReceive(): boolean {
    return getOption(this.#socket, ZERO_COPY_RECEIVE);
  }
  set zeroCopyReceive(on: boolean) {
    setOption(this.#socket, ZERO_COPY_RECEIVE, on);
  }

  /** `SO_ZEROCOPY`: lets `MSG_ZEROCOPY` take effect. */
  get zeroCopySend(): boolean {
    return getOption(this.#socket, ZERO_COPY_SEND);
  }
  set zeroCopySend(on: boolean) {
    setOption(this.#socket, ZERO_COPY_SEND, on);
  }

  /**
   * `SO_RCVBUF` in bytes: reading gives twice what was assigned, as the kernel counts its own part.
   */
  get receiveBufferSize(): number {
    return getOption(this.#socket, RECEIVE_BUFFER_SIZE);
  }
  set receiveBufferSize(bytes: number) {
    setOption(this.#socket, RECEIVE_BUFFER_SIZE, bytes);
  }

  /** `SO_SNDBUF` in bytes: reading gives twice what was assigned. */
  get sendBufferSize(): number {
    return getOption(this.#socket, SEND_BUFFER_SIZE);
  }
  set sendBufferSize(bytes: number) {
    setOption(this.#socket, SEND_BUFFER_SIZE, bytes);
  }

  /** `TCP_NODELAY`: small segments go at once. */
  get noDelay(): boolean {
    return getOption(this.#socket, NO_DELAY);
  }
  set noDelay(on: boolean) {
    setOption(this.#socket, NO_DELAY, on);
  }

  /** `TCP_MAXSEG` in bytes: once connected, what a segment carries at most. */
  get maxSegment(): number {
    return getOption(this.#socket, MAX_SEGMENT);
  }
  set maxSegment(bytes: number) {
    setOption(this.#socket, MAX_SEGMENT, bytes);
  }

  /** `SO_KEEPALIVE`: looks after an idle peer now and then. */
  get keepAlive(): boolean {
    return getOption(this.#socket, KEEP_ALIVE);
  }
  set keepAlive(on: boolean) {
    setOption(this.#socket, KEEP_ALIVE, on);
  }

  /** `SO_REUSEADDR`: binds what connections of before still have. */
  get reuseAddress(): boolean {
    return getOption(this.#socket, REUSE_ADDRESS);
  }
  set reuseAddress(on: boolean) {
    setOption(this.#socket, REUSE_ADDRESS, on);
  }
}
