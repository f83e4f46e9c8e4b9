/**
 * Socket options by name.
 *
 * @module
 */
import type { AnySocket } from "./socket.ts";
import {
  BUFFER_MAX_SIZE,
  BUFFER_MIN_SIZE,
  BUFFER_SIZE,
  CONNECT_TIMEOUT,
  getOption,
  RCVLOWAT,
  setOption,
  type Sockopt,
  ZERO_COPY_RECEIVE,
  ZERO_COPY_SEND,
} from "./sockopt.ts";

/** Options to set on a socket, by name; what is left out stays as it is. */
export interface SocketOptionValues {
  /**
   * Bytes of receive buffer, which is the credit of the peer. `connect()` and `listen()` move
   * `bufferMaxSize` or `bufferMinSize` where it would else be clamped.
   * @default {262144}
   */
  readonly bufferSize?: number | undefined;
  /** Lower bound of `bufferSize` in bytes. @default {128} */
  readonly bufferMinSize?: number | undefined;
  /** Upper bound of `bufferSize` in bytes. @default {262144} */
  readonly bufferMaxSize?: number | undefined;
  /** Milliseconds that a connect waits for an answer; 0 for the default. @default {2000} */
  readonly connectTimeoutMs?: number | undefined;
  /** Bytes that make a STREAM socket readable. @default {1} */
  readonly rcvlowat?: number | undefined;
  /** `SO_VM_SOCKETS_ZEROCOPY`: zero-copy receive by mapping. @default {false} */
  readonly zeroCopyReceive?: boolean | undefined;
  /** `SO_ZEROCOPY`: lets `MSG_ZEROCOPY` take effect. @default {false} */
  readonly zeroCopySend?: boolean | undefined;
}

/** In the order they are set: bounds before the size that they bound. */
const BY_NAME: Readonly<Record<keyof SocketOptionValues, Sockopt<number> | Sockopt<boolean>>> = {
  bufferMaxSize: BUFFER_MAX_SIZE,
  bufferMinSize: BUFFER_MIN_SIZE,
  bufferSize: BUFFER_SIZE,
  connectTimeoutMs: CONNECT_TIMEOUT,
  rcvlowat: RCVLOWAT,
  zeroCopyReceive: ZERO_COPY_RECEIVE,
  zeroCopySend: ZERO_COPY_SEND,
};

/** Those of `values` that are given, in the order to set them. */
function* given(values: SocketOptionValues): Generator<[Sockopt<number | boolean>, never]> {
  for (const [name, option] of Object.entries(BY_NAME)) {
    const value = values[name as keyof SocketOptionValues];
    if (value !== undefined) yield [option as Sockopt<number | boolean>, value as never];
  }
}

/** Throws a TypeError or RangeError unless all of `values` can be set. */
export function requireSocketOptions(values: SocketOptionValues): void {
  if (typeof values !== "object" || values === null) {
    throw new TypeError(`Cannot use options: must be an object: current value is ${values}`);
  }
  for (const [option, value] of given(values)) option.check(value);
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

  /** `SO_RCVLOWAT`: the bytes that a wait for data waits for. 0 assigns 1. */
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
}
