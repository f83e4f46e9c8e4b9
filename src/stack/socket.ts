/**
 * A socket over a stack of this thread: the system calls of `src/socket.ts`.
 *
 * @module
 */
import { POLLERR, POLLHUP, POLLNVAL } from "../../ffi/abi/poll.ts";
import { SHUT_RD, SHUT_RDWR } from "../../ffi/abi/socket.ts";
import { SO_VM_SOCKETS_MAP_RX } from "../../ffi/abi/virtio_vsock_usr.ts";
import {
  VIRTIO_VSOCK_TYPE_SEQPACKET,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../ffi/abi/virtio_vsock.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { plainView } from "../../ffi/view.ts";
import type { VsockAddress } from "../address.ts";
import type { MessageFlags, RxMapping, Socket, SocketType } from "../socket.ts";
import * as calls from "../virtio/calls.ts";
import { release } from "../virtio/connection.ts";
import { VsockSock } from "../virtio/sock.ts";
import { requireMappable, StackMapping } from "./mapping.ts";
import type { RxPage, StackNode } from "./node.ts";
import { getsockopt, type KeptOptions, setsockopt } from "./options.ts";
import type { Turns } from "../wait/turns.ts";
import { Waiters } from "../wait/waiters.ts";

const ALWAYS = POLLERR | POLLHUP | POLLNVAL;

/** One socket. Made by `Transport.socket()` and `accept()`. */
export class StackSocket implements Socket {
  readonly type: SocketType;
  readonly #sock: VsockSock; // private: not for whoever prints a connection
  readonly #node: StackNode;
  readonly #waiters: Waiters;
  readonly #kept: KeptOptions = new Map();
  readonly #out: MessageFlags = { flags: 0 };
  #closed = false;
  #mapping: StackMapping | undefined;
  #page: RxPage | undefined;

  constructor(node: StackNode, type: SocketType, accepted?: VsockSock) {
    this.#node = node;
    this.type = type;
    this.#sock = accepted ??
      new VsockSock(type === "stream" ? VIRTIO_VSOCK_TYPE_STREAM : VIRTIO_VSOCK_TYPE_SEQPACKET);
    this.#waiters = new Waiters(
      node.hold,
      (events) => this.#holding(events),
      () => this.#takeIn(),
    );
    node.opened();
  }

  get sock(): VsockSock {
    return this.#sock;
  }

  /** What receiving costs is counted by that. */
  get carrierName(): string {
    return this.#node.carrierName;
  }

  /** Whether nothing is to depend on how long something takes. */
  get replays(): boolean {
    return this.#node.replays;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get turns(): Turns {
    return this.#node.turns;
  }

  bind(address: VsockAddress): void {
    this.#enter("bind");
    this.#node.stack.bind(this.#sock, address);
  }

  listen(backlog: number): void {
    this.#enter("listen");
    calls.listen(this.#sock, backlog);
    this.#node.listening.add(this);
  }

  connect(address: VsockAddress): boolean {
    this.#enter("connect");
    calls.connect(this.#node.stack, this.#sock, address);
    return false;
  }

  accept(): StackSocket | undefined {
    this.#enter("accept");
    const child = calls.accept(this.#sock);
    return child === undefined ? undefined : new StackSocket(this.#node, this.type, child);
  }

  send(data: Uint8Array, flags: number): number {
    this.#enter("send");
    const part = this.#shortened("write", data);
    return calls.send(this.#node.stack, this.#sock, part, flags);
  }

  recv(buffer: Uint8Array, flags: number, out: MessageFlags = this.#out): number {
    this.#enterDequeue("recv");
    const part = this.#shortened("read", buffer);
    return calls.receive(this.#node.stack, this.#sock, part, flags, out);
  }

  shutdown(how: number): void {
    this.#enter("shutdown");
    if (how < SHUT_RD || how > SHUT_RDWR) throw new SysError("shutdown", "EINVAL");
    calls.shutdown(this.#node.stack, this.#sock, how);
  }

  close(): void {
    this.#takeIn();
    if (this.#closed) return; // by a tap meanwhile, or before
    this.#closed = true;
    this.#node.listening.delete(this);
    release(this.#node.stack, this.#sock);
    this.#sock.wake = undefined;
    this.#sock.page = undefined;
    this.#page?.close();
    this.#waiters.finish(POLLNVAL);
    this.#node.closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  getsockopt(level: number, name: number, value: Uint8Array): number {
    this.#enter("getsockopt");
    if (level === AF_VSOCK && name === SO_VM_SOCKETS_MAP_RX) {
      if (value.length < 8) throw new SysError("getsockopt", "EINVAL");
      const view = new DataView(value.buffer, value.byteOffset, 8);
      this.mapRx(Number(view.getBigUint64(0, true)));
      return value.length;
    }
    return getsockopt(this.#sock, this.#kept, level, name, value);
  }

  setsockopt(level: number, name: number, value: Uint8Array): void {
    this.#enter("setsockopt");
    setsockopt(this.#node.stack, this.#sock, this.#kept, level, name, value);
  }

  takeError(): number {
    this.#enter("getsockopt");
    return calls.takeError(this.#sock);
  }

  outq(): number {
    this.#enter("ioctl");
    if (this.#sock.carrier === undefined) throw new SysError("ioctl", "EOPNOTSUPP");
    return this.#sock.bytesUnsent;
  }

  localAddress(): VsockAddress {
    this.#enter("getsockname");
    return { ...this.#sock.local };
  }

  remoteAddress(): VsockAddress {
    this.#enter("getpeername");
    if (this.#sock.ss !== "connected") throw new SysError("getpeername", "ENOTCONN");
    return { ...this.#sock.remote };
  }

  poll(events: number): number {
    this.#takeIn();
    return this.#holding(events);
  }

  #takeIn(): void {
    if (!this.#closed) this.#node.pump(this.#sock.carrier);
  }

  /** Takes nothing in, so that it can be asked while something is. */
  #holding(events: number): number {
    return this.#closed ? POLLNVAL : this.#sock.poll() & (events | ALWAYS);
  }

  wait(events: number, signal?: AbortSignal): Promise<number> {
    const now = this.poll(events);
    if (now !== 0) return Promise.resolve(now);
    this.#sock.wake = this.#wake;
    this.#node.keepPumping();
    return this.#waiters.add(events, signal);
  }

  waitSync(events: number, timeoutMs: number): number {
    return this.#node.block(() => this.poll(events), timeoutMs);
  }

  ref(): void {
    this.#waiters.ref();
  }

  unref(): void {
    this.#waiters.unref();
  }

  mmap(length: number, prot: number): RxMapping {
    this.#enter("mmap");
    requireMappable(this.#sock, length, prot);
    this.#page = this.#sock.page = this.#node.openPage(this.#sock);
    this.#mapping = new StackMapping(this.#node, this, length, this.#page);
    this.#sock.settle();
    return this.#mapping;
  }

  /** `getsockopt(SO_VM_SOCKETS_MAP_RX)` with the mapping at `address`; its checks in order. */
  mapRx(address: number): void {
    this.#enterDequeue("getsockopt");
    const sock = this.#sock;
    if (!sock.zerocopy) throw new SysError("getsockopt", "EOPNOTSUPP");
    if (sock.carrier === undefined) throw new SysError("getsockopt", "ENOTCONN");
    const mapping = this.#mapping;
    if (mapping?.address !== address || !mapping.mapped) throw new SysError("getsockopt", "EINVAL");
    if (mapping.dataPages === 0) throw new SysError("getsockopt", "EFAULT");
    mapping.fill();
  }

  readonly #wake = (): void => {
    if (this.#waiters.wake() === 0) this.#sock.wake = undefined;
  };

  /**
   * The bytes of `view`, or fewer by a draw, which is only made where the call can take some: how
   * often a call is made in vain is a matter of time, and would change what a seed draws.
   */
  #shortened(what: "read" | "write", view: Uint8Array): Uint8Array {
    const bytes = plainView(view);
    const { shorten } = this.#node;
    if (shorten === undefined || this.type !== "stream" || bytes.length <= 1) return bytes;
    const { credit, rx } = this.#sock;
    const takes = what === "write" ? credit.space() > 0 : rx.rxBytes > 0;
    return takes ? bytes.subarray(0, shorten(what, bytes.length)) : bytes;
  }

  /** What has arrived is enough to go on with: the rest is taken in when nothing is left of it. */
  #enterDequeue(op: string): void {
    if (!this.#sock.readable) this.#takeIn();
    this.#requireOpen(op);
  }

  /** Every other call begins so: always with what has arrived taken in, never after close(). */
  #enter(op: string): void {
    this.#takeIn();
    this.#requireOpen(op);
  }

  /** After what was taken in: a tap may have closed it. */
  #requireOpen(op: string): void {
    if (this.#closed) throw new SysError(op, "EBADF");
  }
}
