/**
 * A socket of the kernel's AF_VSOCK: the calls of `src/socket.ts` over libc.
 *
 * @module
 */
import { F_GETFD, F_SETFD, FD_CLOEXEC } from "../../ffi/abi/fcntl.ts";
import { POLLNVAL, POLLOUT } from "../../ffi/abi/poll.ts";
import {
  MSG_NOSIGNAL,
  SHUT_RDWR,
  SHUT_WR,
  SO_ERROR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from "../../ffi/abi/socket.ts";
import { SIOCOUTQ } from "../../ffi/abi/sockios.ts";
import { SO_VM_SOCKETS_MAP_RX } from "../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK, SockaddrVm } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import * as libc from "../../ffi/libc.ts";
import { Message } from "../../ffi/message.ts";
import type { VsockAddress } from "../address.ts";
import { type MessageFlags, type Socket, type SocketType, WOULD_BLOCK } from "../socket.ts";
import { KernelMapping } from "./mapping.ts";
import { pollNow, pollSync } from "./poll.ts";
import { Hold, reactor } from "./reactor.ts";

const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);
/** One of each will do: no call of a thread starts inside of another. */
const address: SockaddrVm = new SockaddrVm(0, 0);
const number: Int32Array<ArrayBuffer> = new Int32Array(1);
const message: Message = new Message([NOTHING]);
/** The descriptors of this thread's sockets: two sockets over one would close a third's. */
const owned: Set<number> = new Set();

/** Throws a RangeError where a socket of this thread has `fd`. */
export function requireUnowned(fd: number): void {
  if (!owned.has(fd)) return;
  throw new RangeError(
    `Cannot adopt fd ${fd}: must not belong to a socket here: current value is one that does`,
  );
}

/**
 * One socket of the kernel, non-blocking. Whoever made it closes it: a socket that is forgotten
 * stays open, since nothing here closes a descriptor behind a caller's back.
 */
export class KernelSocket implements Socket {
  readonly type: SocketType;
  readonly #fd: number;
  readonly #hold: Hold = new Hold();
  #closed = false;
  #waits = false;
  #mapping: KernelMapping | undefined;

  /** Takes over `fd`, a non-blocking socket of AF_VSOCK. */
  constructor(fd: number, type: SocketType) {
    this.#fd = fd;
    this.type = type;
    owned.add(fd);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The descriptor: for a child process, or for calls that have no name here. It stays this
   * socket's, which closes it.
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

  bind(address: VsockAddress): void {
    libc.bind(this.#enter("bind"), encode(address));
  }

  listen(backlog: number): void {
    libc.listen(this.#enter("listen"), backlog);
  }

  connect(address: VsockAddress): boolean {
    return libc.connect(this.#enter("connect"), encode(address));
  }

  accept(): KernelSocket | undefined {
    const fd = libc.accept4(this.#enter("accept"), SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd === WOULD_BLOCK ? undefined : new KernelSocket(fd, this.type);
  }

  /**
   * As the contract has it, and for messages as far as Linux lets it: where the peer's credit ends
   * within a message, Linux takes that much of it, does not say how much, and glues the next
   * message to it (`vsock_connectible_sendmsg()` in net/vmw_vsock/af_vsock.c). So that no peer ever
   * sees such a message, sending is over then: `ECONNABORTED`, and EPIPE from there on. A message
   * goes whole while no more than `SO_VM_SOCKETS_BUFFER_SIZE` of the peer is under way.
   */
  send(data: Uint8Array, flags: number): number {
    const fd = this.#enter("send");
    if (this.type === "seqpacket" && data.length > 1) return sendWhole(fd, data, flags);
    return libc.send(fd, data, flags | MSG_NOSIGNAL);
  }

  recv(buffer: Uint8Array, flags: number, out?: MessageFlags): number {
    const fd = this.#enter("recv");
    if (out === undefined) return libc.recv(fd, buffer, flags);
    message.buffers[0] = buffer;
    try {
      const received = libc.recvmsg(fd, message, flags);
      out.flags = message.flags;
      return received;
    } finally {
      message.buffers[0] = NOTHING;
    }
  }

  shutdown(how: number): void {
    libc.shutdown(this.#enter("shutdown"), how);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    owned.delete(this.#fd);
    if (this.#waits) reactor().forget(this.#fd);
    try {
      // A mapping keeps the socket open behind the descriptor, and the peer is to know at once.
      if (this.#mapping?.mapped) libc.shutdown(this.#fd, SHUT_RDWR);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
    try {
      libc.close(this.#fd);
    } catch (error) {
      // Whatever close(2) says, the descriptor is gone.
      if (!(error instanceof SysError)) throw error;
    }
  }

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
  }

  takeError(): number {
    this.getsockopt(SOL_SOCKET, SO_ERROR, new Uint8Array(number.buffer));
    return number[0]!;
  }

  outq(): number {
    libc.ioctl(this.#enter("ioctl"), SIOCOUTQ, number);
    return number[0]!;
  }

  localAddress(): VsockAddress {
    libc.getsockname(this.#enter("getsockname"), address.bytes);
    return decode();
  }

  remoteAddress(): VsockAddress {
    libc.getpeername(this.#enter("getpeername"), address.bytes);
    return decode();
  }

  poll(events: number): number {
    return this.#closed ? POLLNVAL : pollNow(this.#fd, events);
  }

  wait(events: number, signal?: AbortSignal): Promise<number> {
    if (this.#closed) return Promise.resolve(POLLNVAL);
    this.#waits = true;
    return reactor().wait(this.#fd, events, this.#hold, signal);
  }

  waitSync(events: number, timeoutMs: number): number {
    return this.#closed ? POLLNVAL : pollSync(this.#fd, events, timeoutMs);
  }

  ref(): void {
    this.#hold.ref();
  }

  unref(): void {
    this.#hold.unref();
  }

  mmap(length: number, prot: number): KernelMapping {
    const mapping = new KernelMapping(this, this.#enter("mmap"), length, prot);
    return this.#mapping = mapping;
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

function encode({ cid, port, flags = 0 }: VsockAddress): Uint8Array<ArrayBuffer> {
  return new SockaddrVm(cid, port, flags).bytes;
}

function decode(): VsockAddress {
  const { cid, port, flags } = address;
  return flags === 0 ? { cid, port } : { cid, port, flags };
}

/** One message of two bytes or more. A single byte is whole anyway. */
function sendWhole(fd: number, data: Uint8Array, flags: number): number {
  if ((pollNow(fd, POLLOUT) & POLLOUT) === 0) {
    // No credit, which is none of these calls' business where they would be refused anyway.
    libc.send(fd, NOTHING, MSG_NOSIGNAL);
    return WOULD_BLOCK;
  }
  const sent = libc.send(fd, data, flags | MSG_NOSIGNAL);
  if (sent !== WOULD_BLOCK) return sent;
  // There was credit and now there is none: that much of the message is gone.
  libc.shutdown(fd, SHUT_WR);
  throw new SysError("send", "ECONNABORTED");
}
