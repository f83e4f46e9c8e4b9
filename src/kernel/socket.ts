/**
 * A socket of the kernel: the calls of `src/socket.ts` over libc, the same for each family.
 *
 * @module
 */
import { F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, O_NONBLOCK } from "../../ffi/abi/fcntl.ts";
import { POLLERR, POLLIN, POLLNVAL } from "../../ffi/abi/poll.ts";
import {
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_ZEROCOPY,
  SHUT_RDWR,
  SHUT_WR,
  SO_ERROR,
  SO_ZEROCOPY,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import { FIONREAD, SIOCOUTQ } from "../../ffi/abi/sockios.ts";
import { SO_VM_SOCKETS_MAP_RX } from "../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import * as libc from "../../ffi/libc.ts";
import { PROT_READ } from "../../ffi/abi/mman.ts";
import { MappedRegion } from "../../ffi/memory.ts";
import { Message } from "../../ffi/message.ts";
import type { Address, VsockAddress } from "../address.ts";
import { Room } from "../send/room.ts";
import { MsgZeroCopy } from "../send/zero_copy.ts";
import {
  type MessageFlags,
  type RxMapping,
  type Socket,
  type SocketType,
  WOULD_BLOCK,
  type ZeroCopySend,
} from "../socket.ts";
import { Turns } from "../wait/turns.ts";
import { discardQueued } from "./discard.ts";
import type { Family } from "./family.ts";
import { KernelMapping } from "./mapping.ts";
import { disown, own } from "./owned.ts";
import { pollNow, pollSlice } from "./poll.ts";
import { Hold, reactor } from "./reactor.ts";
import { ignoreRefusal } from "./refusal.ts";
import { WholeSend, WRITABLE } from "./whole_send.ts";

const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);
/** One of each will do: no call of a thread starts inside of another. */
const number: Int32Array<ArrayBuffer> = new Int32Array(1);
const message: Message = new Message([NOTHING]);
const turns: Turns = new Turns();

/**
 * One socket of the kernel, non-blocking. Whoever made it closes it: a socket that is forgotten
 * stays open, since nothing here closes a descriptor behind a caller's back, until its thread ends.
 */
export class KernelSocket<A extends Address = VsockAddress> implements Socket<A> {
  readonly type: SocketType;
  readonly turns: Turns = turns;
  readonly #family: Family<A>;
  readonly #fd: number;
  readonly #hold: Hold = new Hold();
  #closed = false;
  /** Whether the reactor may have the descriptor. */
  #waits = false;
  /** Whether the last recv(2) has left nothing. */
  #dry = false;
  /** Whether something was sent since the last wait for data. */
  #asked = false;
  #mapping: KernelMapping | undefined;
  #regions: MappedRegion[] = [];
  #whole: WholeSend | undefined;
  #zeroCopy: MsgZeroCopy | undefined;

  /** Takes over `fd`, a non-blocking socket of `family`; `adoptSocket()` takes any and checks. */
  constructor(fd: number, type: SocketType, family: Family<A>) {
    this.#fd = fd;
    this.type = type;
    this.#family = family;
    own(fd, () => this.#end());
  }

  /** Its address family. */
  get family(): Family<A> {
    return this.#family;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The descriptor: for a child process, or for calls that have no name here. It stays this
   * socket's, which closes it, at the latest when its thread ends, whoever else uses the number.
   * Nobody else may send on it with MSG_ZEROCOPY.
   *
   * @throws {SysError} `EBADF` after `close()`.
   */
  get fd(): number {
    return this.#enter("fcntl");
  }

  /**
   * Whether a child process inherits the descriptor at exec; wraps fcntl(2) with `FD_CLOEXEC`. No
   * socket is inherited unless it was told to be.
   */
  get inheritable(): boolean {
    return (libc.fcntl(this.fd, F_GETFD) & FD_CLOEXEC) === 0;
  }
  set inheritable(on: boolean) {
    libc.fcntl(this.fd, F_SETFD, on ? 0 : FD_CLOEXEC);
  }

  get zeroCopy(): ZeroCopySend | undefined {
    const { zeroCopy } = this.#family;
    // A number that was closed is somebody else's.
    if (this.#closed || zeroCopy === undefined || this.type !== "stream") return this.#zeroCopy;
    const room = new Room(this);
    return this.#zeroCopy ??= new MsgZeroCopy({
      ...zeroCopy,
      fd: this.#fd,
      waits: this.#hold,
      waitRoom: (signal) => room.wait(signal),
      closeFd: () => {
        reactor().forget(this.#fd);
        this.#closeFd();
      },
    });
  }

  bind(address: A): void {
    libc.bind(this.#enter("bind"), this.#family.encode(address));
  }

  listen(backlog: number): void {
    libc.listen(this.#enter("listen"), backlog);
  }

  connect(address: A): boolean {
    const fd = this.#enter("connect");
    if (this.#whole !== undefined) libc.fcntl(fd, F_SETFL, libc.fcntl(fd, F_GETFL) | O_NONBLOCK);
    return libc.connect(fd, this.#family.encode(address));
  }

  accept(): KernelSocket<A> | undefined {
    const fd = libc.accept4(this.#enter("accept"), SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd === WOULD_BLOCK ? undefined : new KernelSocket(fd, this.type, this.#family);
  }

  send(data: Uint8Array, flags: number): number {
    const fd = this.#enter("send");
    flags &= ~MSG_ZEROCOPY; // which `zeroCopy` alone may use: it counts them
    // The kernel cannot cut a message of one byte: while there is no other, it needs no ring.
    const whole = this.type === "seqpacket" && this.#family.cutsMessages &&
      data.length > (this.#whole === undefined ? 1 : 0);
    this.#asked = true;
    if (!whole) return libc.send(fd, data, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (this.#whole === undefined) {
      libc.send(fd, NOTHING, MSG_NOSIGNAL); // goes nowhere, but is refused where nothing can go
      this.#whole = new WholeSend(fd);
    }
    return this.#whole.send(data, flags);
  }

  recv(buffer: Uint8Array, flags: number, out?: MessageFlags): number {
    const fd = this.#enter("recv");
    if (out === undefined) {
      const received = libc.recv(fd, buffer, flags | MSG_DONTWAIT);
      this.#dry = received < buffer.length;
      return received;
    }
    message.buffers[0] = buffer;
    try {
      const received = libc.recvmsg(fd, message, flags | MSG_DONTWAIT);
      out.flags = message.flags;
      return received;
    } finally {
      message.buffers[0] = NOTHING;
    }
  }

  shutdown(how: number): void {
    libc.shutdown(this.#enter("shutdown"), how);
    if (this.#family.tellsLate && how !== SHUT_WR) discardQueued(this.#fd, this.inq);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#waits || this.#zeroCopy !== undefined) reactor().forget(this.#fd);
    ignoreRefusal(() => this.#whole?.close());
    // A mapping keeps the socket open behind the descriptor, and the peer is to know at once.
    const stays = this.#zeroCopy?.close(() => this.#closeFd()) ?? false;
    // What is queued here would keep the peer's bytes back, and its close, which ours wait for:
    // AF_VSOCK gives nothing of it any more after shutdown(2), TCP takes more until then.
    if (stays) discardQueued(this.#fd, undefined);
    if (stays || this.#isMapped()) ignoreRefusal(() => libc.shutdown(this.#fd, SHUT_RDWR));
    if (!stays) return this.#closeFd();
    discardQueued(this.#fd, undefined);
    ignoreRefusal(() => this.#family.abandon?.(this.#fd));
  }

  /** Closes it, and its descriptor at once: its thread ends, and could not do that later. */
  #end(): void {
    this.close();
    this.#closeFd();
  }

  #closeFd(): void {
    this.#closed = true;
    if (!disown(this.#fd)) return;
    // Whatever close(2) says, the descriptor is gone.
    ignoreRefusal(() => libc.close(this.#fd));
  }

  /** `close()`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  getsockopt(level: number, name: number, value: Uint8Array): number {
    const length = libc.getsockopt(this.#enter("getsockopt"), level, name, value);
    if (level === AF_VSOCK && name === SO_VM_SOCKETS_MAP_RX) this.#filled(value);
    return length;
  }

  setsockopt(level: number, name: number, value: Uint8Array): void {
    libc.setsockopt(this.#enter("setsockopt"), level, name, value);
    if (level === SOL_SOCKET && name === SO_ZEROCOPY) this.#zeroCopy?.askAgain();
  }

  takeError(): number {
    this.getsockopt(SOL_SOCKET, SO_ERROR, new Uint8Array(number.buffer));
    return number[0]!;
  }

  outq(): number {
    return this.#ask(SIOCOUTQ);
  }

  get inq(): (() => number) | undefined {
    return this.#family.emptyMessages ? () => this.#ask(FIONREAD) : undefined;
  }

  #ask(request: number): number {
    libc.ioctl(this.#enter("ioctl"), request, number);
    return number[0]!;
  }

  localAddress(): A {
    const fd = this.#enter("getsockname");
    return this.#family.read((bytes) => libc.getsockname(fd, bytes));
  }

  remoteAddress(): A {
    const fd = this.#enter("getpeername");
    return this.#family.read((bytes) => libc.getpeername(fd, bytes));
  }

  poll(events: number): number {
    if (this.#closed) return POLLNVAL;
    const revents = this.#pollNow(events);
    return this.#whole?.revents(events, revents) ?? revents;
  }

  wait(events: number, signal?: AbortSignal): Promise<number> {
    if (this.#closed) return Promise.resolve(POLLNVAL);
    this.#waits = true;
    if (this.#whole?.decides(events)) return this.#waitThrough(this.#whole, events, signal);
    const [dry, asked] = [this.#dry && events === POLLIN, this.#asked && events === POLLIN];
    this.#dry = false; // whatever comes from here on
    this.#asked &&= !asked;
    return reactor().wait(this.#fd, events, this.#hold, signal, dry, asked).then((revents) => {
      if ((revents & POLLERR) === 0 || this.#zeroCopy === undefined || this.#closed) return revents;
      return this.#pollNow(events) || this.wait(events, signal);
    });
  }

  /** poll(2), to which records of MSG_ZEROCOPY are no error. */
  #pollNow(events: number): number {
    const revents = pollNow(this.#fd, events);
    if ((revents & POLLERR) === 0 || this.#zeroCopy === undefined) return revents;
    this.#zeroCopy.reap();
    return pollNow(this.#fd, events);
  }

  waitSync(events: number, timeoutMs: number): number {
    if (this.#closed) return POLLNVAL;
    const end = timeoutMs === Infinity ? Infinity : performance.now() + timeoutMs;
    // One call then, which blocks at once.
    const simple = this.#whole === undefined && this.#zeroCopy === undefined;
    for (;;) {
      const left = end === Infinity ? Infinity : end - performance.now();
      const now = simple ? pollSlice(this.#fd, events, Math.max(0, left)) : this.poll(events);
      if (now !== 0 || left <= 0) return now;
      if (simple) continue;
      if (!this.#whole?.decides(events)) pollSlice(this.#fd, events, left);
      else pollSlice(this.#fd, events & ~WRITABLE, left, this.#whole.ringFd);
    }
  }

  /** Waits until a message is through too, of which the ring tells, or whoever else reaps it. */
  async #waitThrough(
    whole: WholeSend,
    events: number,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    for (;;) {
      const now = this.poll(events);
      if (now !== 0) return now;
      if (!whole.decides(events)) return this.wait(events, signal);
      const over = new AbortController();
      const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
      const wait = (fd: number, events: number): Promise<number> =>
        reactor().wait(fd, events, this.#hold, either);
      const ring = wait(whole.ringFd, POLLIN);
      const waits = [wait(this.#fd, events & ~WRITABLE), ring, whole.through(over.signal)];
      try {
        await Promise.race(waits);
      } finally {
        over.abort();
        await Promise.allSettled(waits);
      }
    }
  }

  hold(time: Promise<void>): Promise<void> {
    this.#hold.acquire();
    return time.finally(() => this.#hold.release());
  }

  ref(): void {
    this.#hold.ref();
  }

  unref(): void {
    this.#hold.unref();
  }

  mmap(length: number, prot: number): RxMapping {
    const mapping = new KernelMapping(this, this.#enter("mmap"), length, prot);
    return this.#mapping = mapping;
  }

  /**
   * mmap(2) of `length` bytes of a TCP socket, to be read: for `TCP_ZEROCOPY_RECEIVE`, which says
   * how many of them are there. The caller unmaps it; a socket may have several.
   */
  mapPages(length: number): MappedRegion {
    const region = new MappedRegion(length, { fd: this.#enter("mmap"), prot: PROT_READ });
    this.#regions = [...this.#regions.filter(isMapped), region];
    return region;
  }

  #isMapped(): boolean {
    return this.#mapping?.mapped === true || this.#regions.some(isMapped);
  }

  /** `value` is the address of the mapping that has new pages: with the receive ABI, our own. */
  #filled(value: Uint8Array): void {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    if (this.#mapping?.mapped && Number(view.getBigUint64(0, true)) === this.#mapping.address) {
      this.#mapping.filled();
    }
  }

  /** The descriptor, for every call but `close()`: a number that was closed is somebody else's. */
  #enter(op: string): number {
    if (this.#closed) throw new SysError(op, "EBADF");
    return this.#fd;
  }
}

function isMapped({ address }: MappedRegion): boolean {
  return address !== 0;
}
