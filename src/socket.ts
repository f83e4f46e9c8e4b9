/**
 * What a carrier owes: a non-blocking socket, system call by system call. The kernel's sockets and
 * the loopback's both have this face, so that everything above (Conn, Listener, the receiver, the
 * perf tool) is written once.
 *
 * @module
 */
import type { Address, VsockAddress } from "./address.ts";
import type { Turns } from "./wait/turns.ts";

export { WOULD_BLOCK } from "../ffi/errno.ts";

/** `SOCK_STREAM` or `SOCK_SEQPACKET`. */
export type SocketType = "stream" | "seqpacket";

/** Out-parameter of {@linkcode Socket.recv}: `msg_flags` as recvmsg(2) leaves them. */
export interface MessageFlags {
  /** Any of `MSG_EOR` and `MSG_TRUNC`. */
  flags: number;
}

/**
 * Sends of one STREAM socket from the caller's memory. What was sent stays reachable until the
 * kernel has done with it, whatever becomes of the socket; the caller must not write to it, nor
 * transfer its buffer, until told.
 */
export interface ZeroCopySend {
  /** Why all is copied, on this socket; `undefined` where it need not be. */
  readonly unsupported: string | undefined;
  /**
   * send(2) with MSG_ZEROCOPY: bytes taken, or `WOULD_BLOCK`; then `wait()`. `done` is called once
   * for what was taken: when the kernel no longer reads it, or at once where it was copied. What is
   * not worth while is copied.
   */
  send(data: Uint8Array, done: (bytes: number, copied: boolean) => void): number;
  /** Waits until `send()` may take more. `signal` ends the wait by rejecting with its reason. */
  wait(signal?: AbortSignal): Promise<void>;
  /** Whether `WOULD_BLOCK` was for want of memory that the kernel gives back by `reap()` alone. */
  readonly full: boolean;
  /**
   * Takes what the kernel has told, and calls each `done`: how many records. Where there are none
   * it blocks this thread for them, for `timeoutMs` at most.
   * @param timeoutMs 0 unless given.
   */
  reap(timeoutMs?: number): number;
  /** Has the event loop call each `done`: a wait as others are, until all have been called. */
  watch(): void;
}

/** A socket of any family. */
export type AnySocket = Socket<Address>;

/**
 * One socket of any carrier; `A` is what its family has for addresses. The rules, for whoever calls
 * or implements it:
 *
 * - Every call but `waitSync()` returns at once. One that would block says so by `WOULD_BLOCK`, -1,
 *   or by `undefined`, never by an error; EINTR is never seen.
 * - Every refusal is a `SysError` with the errno that Linux gives, and changes nothing.
 * - Arguments have been checked for type and range by the caller; a socket checks state.
 * - After `close()` every call throws EBADF, but for `close()` itself and for `poll()`, `wait()`
 *   and `waitSync()`, which give POLLNVAL, those that are pending too.
 */
export interface Socket<A extends Address = VsockAddress> extends Disposable {
  /** `"stream"`, or `"seqpacket"` for messages with bounds. */
  readonly type: SocketType;
  /** Whether `close()` has been called. */
  readonly closed: boolean;
  /** Counts calls, so that timers and other sockets get their turn; see {@linkcode Turns}. */
  readonly turns: Turns;
  /** MSG_ZEROCOPY; a socket that always copies has none. */
  readonly zeroCopy?: ZeroCopySend | undefined;
  /** What a person can do about the last error of `connect()` or `takeError()`, where known. */
  readonly hint?: string | undefined;

  /** bind(2). */
  bind(address: A): void;
  /** listen(2): `backlog` + 1 connections may wait. */
  listen(backlog: number): void;
  /**
   * connect(2): `true` once connected, `false` for EINPROGRESS. Then wait for POLLOUT and call
   * `takeError()`: 0 means connected.
   */
  connect(address: A): boolean;
  /** accept4(2): the next connection, or `undefined` where none waits. */
  accept(): Socket<A> | undefined;
  /**
   * send(2) with MSG_NOSIGNAL: bytes taken, or `WOULD_BLOCK`. STREAM may take a part; SEQPACKET
   * takes the whole message or nothing. `flags`: `MSG_EOR`.
   *
   * A message that gave `WOULD_BLOCK` is to be sent again: the kernel may have begun with it, and
   * then takes no other before it. Who gives up on it does not know whether the peer gets it.
   */
  send(data: Uint8Array, flags: number): number;
  /**
   * recvmsg(2): bytes copied into `buffer` (with `MSG_TRUNC` the real length of the message), 0 at
   * end of stream, or `WOULD_BLOCK`. `flags`: `MSG_PEEK`, `MSG_TRUNC`. `out` gets `msg_flags`.
   */
  recv(buffer: Uint8Array, flags: number, out?: MessageFlags): number;
  /** shutdown(2): `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`. */
  shutdown(how: number): void;
  /** close(2). Never throws; the second call does nothing. */
  close(): void;

  /** getsockopt(2): fills `value`, gives the length that optlen has afterwards. */
  getsockopt(level: number, name: number, value: Uint8Array): number;
  /** setsockopt(2). */
  setsockopt(level: number, name: number, value: Uint8Array): void;
  /** `SO_ERROR`: the pending errno, cleared by this call; 0 for none. */
  takeError(): number;
  /**
   * `SIOCOUTQ`: bytes sent that have not left this end yet; what the peer has read does not count.
   */
  outq(): number;
  /** `FIONREAD`: bytes that can be read; present where a message may be empty, as over AF_UNIX. */
  readonly inq?: (() => number) | undefined;
  /** getsockname(2). */
  localAddress(): A;
  /** getpeername(2). */
  remoteAddress(): A;

  /** poll(2) with a timeout of 0: those of `events` that hold, and POLLERR, POLLHUP, POLLNVAL. */
  poll(events: number): number;
  /**
   * poll(2) as a promise: resolves with what `poll(events)` gives once that is not 0. `signal`
   * ends the wait by rejecting with its reason; events that hold already win over it.
   */
  wait(events: number, signal?: AbortSignal): Promise<number>;
  /**
   * Keeps the process alive until `time`, as a wait does, and resolves then. Present where POLLERR
   * may be no error but a record in an error queue, so that `wait(0)` would end at once.
   */
  hold?(time: Promise<void>): Promise<void>;
  /**
   * poll(2) that blocks this thread, for at most `timeoutMs` (`Infinity` for ever); 0 when the time
   * is over. Throws EOPNOTSUPP where blocking could never end (a loopback inside one event loop).
   */
  waitSync(events: number, timeoutMs: number): number;
  /** A wait of this socket keeps the process alive (the default). */
  ref(): void;
  /** A wait of this socket does not keep the process alive. */
  unref(): void;

  /**
   * mmap(2) of the socket: `length` bytes, `prot` is `PROT_READ` (1). The caller unmaps it.
   * EPERM, EOPNOTSUPP, EBUSY, ENODEV as the receive ABI has them; EINVAL unless it is whole pages.
   */
  mmap(length: number, prot: number): RxMapping;
}

/**
 * A receive mapping: page 0 and the data pages that `getsockopt(SO_VM_SOCKETS_MAP_RX)` fills.
 *
 * Every view it lends is dead before its page goes: `advise()` and `unmap()` first kill the views,
 * then give back the pages.
 */
export interface RxMapping {
  /** Where the mapping starts: a pointer, or the number that stands for one on the loopback. */
  readonly address: number;
  /** Data pages behind page 0. */
  readonly dataPages: number;
  /**
   * Page 0, live: 1024 words of native endian that somebody else writes. Read it by `UsrHdrPage`:
   * of the kernel's, `Atomics` must not be used, since some engines write where they are to load.
   */
  readonly page0: Int32Array;
  /**
   * Whether another thread or machine can write the lent bytes while they are read, and the views
   * cannot be killed at release because the language has no way to detach their buffer.
   */
  readonly volatile: boolean;
  /**
   * Whether spinning on `readable()` ends, though the event loop does not run: another thread
   * writes `poll_value`, or `readable()` itself takes in what has arrived.
   */
  readonly spins: boolean;
  /**
   * Whether `poll_value` in page 0 says that a dequeue is worth while: the socket is readable by
   * SO_RCVLOWAT, or no more will come. No system call; a carrier may take in what has arrived.
   */
  readable(): boolean;
  /** `getsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX)`: moves queued packets into the data pages. */
  mapRx(): void;
  /**
   * Lends `length` bytes from the start of data page `page` (0 is the one behind page 0). The
   * caller has checked them against page 0; outside the mapped pages it throws a RangeError. Where
   * a user transfers the buffer of the view away, nothing may break but that packet.
   */
  lend(page: number, length: number): Uint8Array;
  /** Kills the views lent, then `madvise(MADV_DONTNEED)` over the data pages. */
  advise(): void;
  /** `advise()`, then munmap(2). The second call does nothing. */
  unmap(): void;
}
