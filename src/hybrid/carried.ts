/**
 * A socket with addresses of its own over one of AF_UNIX, which carries the bytes.
 *
 * @module
 */
import { POLLERR, POLLNVAL, POLLOUT, POLLWRNORM } from "../../ffi/abi/poll.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { type Code, ERRNO, SysError } from "../../ffi/errno.ts";
import type { Address, UnixAddress } from "../address.ts";
import { UNIX } from "../kernel/family_unix.ts";
import { openKernelSocket } from "../kernel/open.ts";
import { pollSlice } from "../kernel/poll.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import { LoopHold } from "../wait/loop_hold.ts";
import type { Turns } from "../wait/turns.ts";
import { Waiters } from "../wait/waiters.ts";
import type { Below, HybridOptionValues } from "./options.ts";
import type { MessageFlags, RxMapping, Socket, SocketType } from "../socket.ts";

/**
 * How far a socket has come. `refused` is for good: Linux takes no second connect(2) of a socket
 * whose first one was refused.
 */
export type State =
  | "fresh"
  | "bound"
  | "listening"
  | "connecting"
  | "refused"
  | "connected";

const WRITABLE = POLLOUT | POLLWRNORM;
/** Stands for no descriptor in poll(2), which then only waits. */
const NO_FD = -1;
/** The one timer by which the waits that are not the kernel's hold the event loop. */
const loop: LoopHold = new LoopHold();

/** What the sockets of both sides of a hybrid transport share; a side adds how they connect. */
export abstract class CarriedSocket<A extends Address> implements Socket<A> {
  readonly type: SocketType = "stream";
  /** What a person can do about the last error. */
  hint: string | undefined = undefined;
  /** Carries the bytes. */
  protected unix: KernelSocket<UnixAddress>;
  protected state: State = "fresh";
  protected local: A;
  protected remote: A | undefined;
  /** The options of AF_VSOCK. */
  protected readonly values: HybridOptionValues;
  /** Those who wait while `unix` has nothing to tell; each change wakes them all. */
  protected readonly waiters: Waiters = new Waiters(loop, () => 1);
  /** What `unix` was told, in order: whichever takes its place is told it too. */
  readonly #set: Map<string, [level: number, name: number, value: Uint8Array]> = new Map();
  /** Sets options of `unix`, and keeps them. */
  readonly #below: Below = {
    setsockopt: (level, name, value) => {
      this.unix.setsockopt(level, name, value);
      const key = `${level} ${name}`;
      this.#set.delete(key);
      this.#set.set(key, [level, name, new Uint8Array(value)]);
    },
  };
  #closed = false;
  #refed = true;
  #error = 0;

  /** Takes over `unix`, and closes it where it throws. `local` is the name of one without. */
  constructor(unix: KernelSocket<UnixAddress>, local: A, values: HybridOptionValues) {
    this.unix = unix;
    this.local = local;
    this.values = values;
    try {
      values.apply(this.#below);
    } catch (error) {
      unix.close();
      throw error;
    }
  }

  abstract bind(address: A): void;
  abstract listen(backlog: number): void;
  abstract connect(address: A): boolean;
  abstract accept(): Socket<A> | undefined;
  /** Gives back what bind took; called once. */
  protected abstract release(): void;

  /** Whether poll(2) of `unix` tells what this socket is ready for. */
  protected get pollsUnix(): boolean {
    return this.state === "connected";
  }

  get closed(): boolean {
    return this.#closed;
  }

  get turns(): Turns {
    return this.unix.turns;
  }

  send(data: Uint8Array, flags: number): number {
    this.requireConnected("send");
    return this.unix.send(data, flags);
  }

  recv(buffer: Uint8Array, flags: number, out?: MessageFlags): number {
    this.requireConnected("recv");
    if (buffer.length === 0) return 0;
    return this.unix.recv(buffer, flags, out);
  }

  shutdown(how: number): void {
    this.requireConnected("shutdown");
    this.unix.shutdown(how);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.release();
    this.unix.close();
    this.waiters.finish(POLLNVAL);
  }

  /** `close()`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  getsockopt(level: number, name: number, value: Uint8Array): number {
    this.requireOpen("getsockopt");
    if (level === AF_VSOCK) return this.values.get(name, value);
    return this.unix.getsockopt(level, name, value);
  }

  setsockopt(level: number, name: number, value: Uint8Array): void {
    this.requireOpen("setsockopt");
    if (level === AF_VSOCK) this.values.set(name, value, this.#below);
    else this.#below.setsockopt(level, name, value);
  }

  takeError(): number {
    this.requireOpen("getsockopt");
    const errno = this.#error;
    this.#error = 0;
    return errno !== 0 ? errno : this.unix.takeError();
  }

  outq(): number {
    this.requireOpen("ioctl");
    if (this.state !== "connected") throw new SysError("ioctl", "EOPNOTSUPP");
    return this.unix.outq();
  }

  localAddress(): A {
    this.requireOpen("getsockname");
    return this.local;
  }

  remoteAddress(): A {
    this.requireConnected("getpeername");
    return this.remote!;
  }

  poll(events: number): number {
    if (this.#closed) return POLLNVAL;
    if (this.pollsUnix) return this.unix.poll(events);
    return this.pollIdle(events) | (this.#error === 0 ? 0 : POLLERR);
  }

  /** What holds of `events` while `unix` does not tell. */
  protected pollIdle(events: number): number {
    return this.state === "listening" ? 0 : events & WRITABLE;
  }

  wait(events: number, signal?: AbortSignal): Promise<number> {
    if (this.pollsUnix && !this.#closed) return this.unix.wait(events, signal);
    return this.#waitIdle(events, signal);
  }

  async #waitIdle(events: number, signal: AbortSignal | undefined): Promise<number> {
    for (;;) {
      const now = this.poll(events);
      if (now !== 0) return now;
      if (this.pollsUnix) return this.unix.wait(events, signal);
      await this.changed(signal);
    }
  }

  /** Resolves when poll() is worth a call again, while `unix` does not tell. */
  protected async changed(signal: AbortSignal | undefined): Promise<void> {
    await this.waiters.add(0, signal);
  }

  waitSync(events: number, timeoutMs: number): number {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const now = this.poll(events);
      const left = end - performance.now();
      if (now !== 0 || left <= 0) return now;
      if (this.pollsUnix) this.unix.waitSync(events, left);
      else this.changedSync(left);
    }
  }

  /** Blocks until poll() is worth a call again, for `ms` at most. */
  protected changedSync(ms: number): void {
    pollSlice(NO_FD, 0, ms);
  }

  ref(): void {
    this.#refed = true;
    this.unix.ref();
    this.waiters.ref();
  }

  unref(): void {
    this.#refed = false;
    this.unix.unref();
    this.waiters.unref();
  }

  mmap(_length: number, _prot: number): RxMapping {
    this.requireOpen("mmap");
    throw new SysError("mmap", "ENODEV");
  }

  /** The state is another; who waits is to look again. */
  protected become(state: State): void {
    this.state = state;
    this.waiters.wake();
  }

  /** connect(2) has failed; SO_ERROR has it. One that nobody answered can be tried again. */
  protected fail(errno: Code | number, hint: string): void {
    this.#error = typeof errno === "number" ? errno : ERRNO[errno];
    this.hint = hint;
    this.become(this.#error === ERRNO.ETIMEDOUT ? "fresh" : "refused");
  }

  /** connect(2) begins anew. */
  protected clearError(): void {
    this.#error = 0;
    this.hint = undefined;
  }

  /** Another socket in place of the one that connected in vain. */
  protected renew(): void {
    const fresh = openKernelSocket(UNIX, "stream");
    this.unix.close();
    this.unix = fresh;
    for (const option of this.#set.values()) fresh.setsockopt(...option);
    if (!this.#refed) fresh.unref();
  }

  /** Throws EBADF after `close()`. */
  protected requireOpen(op: string): void {
    if (this.#closed) throw new SysError(op, "EBADF");
  }

  /** Throws unless connected. */
  protected requireConnected(op: string): void {
    if (this.state === "connected" && !this.#closed) return;
    throw new SysError(op, this.#closed ? "EBADF" : "ENOTCONN");
  }

  /** Throws what connect(2) of AF_VSOCK gives in this state, unless it can begin. */
  protected requireConnectable(): void {
    this.requireOpen("connect");
    if (this.state === "listening") throw new SysError("connect", "EINVAL");
    if (this.state === "connected") throw new SysError("connect", "EISCONN");
    if (this.state === "connecting" || this.state === "refused") {
      throw new SysError("connect", "EALREADY");
    }
  }
}
