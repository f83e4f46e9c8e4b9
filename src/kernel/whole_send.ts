/**
 * SEQPACKET messages that go whole or not at all.
 *
 * Where the peer's credit ends within a message, a non-blocking send(2) of Linux takes that much of
 * it, says EAGAIN and not how much, and glues the next message to it (`vsock_connectible_sendmsg()`
 * in net/vmw_vsock/af_vsock.c). A blocking one waits and goes on, and so does an io_uring(7), which
 * blocks nobody: it keeps the place in the message while it waits for credit.
 *
 * @module
 */
import { F_GETFL, F_SETFL, O_NONBLOCK } from "../../ffi/abi/fcntl.ts";
import { POLLOUT, POLLWRNORM } from "../../ffi/abi/poll.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_RDWR, SHUT_WR } from "../../ffi/abi/socket.ts";
import { AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE } from "../../ffi/abi/vm_sockets.ts";
import { ERRNO, SysError } from "../../ffi/errno.ts";
import { fcntl, getsockopt, send, shutdown } from "../../ffi/libc.ts";
import { MappedRegion } from "../../ffi/memory.ts";
import { Message } from "../../ffi/message.ts";
import { buffer } from "../runtime/builtins.ts";
import { WOULD_BLOCK } from "../socket.ts";
import { pollNow } from "./poll.ts";
import { type Uring, uring } from "./uring.ts";

/** Room to write. */
export const WRITABLE: number = POLLOUT | POLLWRNORM;
const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** Sends the messages of one connected socket. */
export class WholeSend {
  readonly #fd: number;
  readonly #find: () => Uring | null;
  #ring: Uring | null = null;
  readonly #message: Message = new Message([NOTHING]);
  /** Bytes that the kernel reads while it goes on: mapped, so that they outlive this thread. */
  #staging: MappedRegion | undefined;
  /** The message that the kernel has begun with. */
  #begun: Uint8Array<ArrayBuffer> | undefined;
  #flags = 0;
  #result: number | undefined;
  readonly #waiters: Set<() => void> = new Set();
  #closed = false;

  /**
   * For `fd`, which stays its socket's. While `find` gives no ring, a message for which there is
   * credit for a part only ends what this end sends, before it is glued to the next:
   * `ECONNABORTED`.
   */
  constructor(fd: number, find: () => Uring | null = uring) {
    this.#fd = fd;
    this.#find = find;
  }

  /** Where the message is that was last begun with. */
  get state(): "idle" | "under way" | "through" {
    if (this.#begun === undefined) return "idle";
    this.#ring?.reap();
    return this.#result === undefined ? "under way" : "through";
  }

  /** Whether the message that was begun has a say in what of `events` holds: room to write. */
  decides(events: number): boolean {
    return (events & WRITABLE) !== 0 && this.state !== "idle";
  }

  /** What of `events` holds, where `revents` do by poll(2) of the socket. */
  revents(events: number, revents: number): number {
    switch (this.state) {
      case "idle":
        return revents;
      case "under way":
        return revents & ~WRITABLE;
      case "through":
        return revents | (events & WRITABLE);
    }
  }

  /** What can be read when a message that was under way may be through; there is a ring then. */
  get ringFd(): number {
    return this.#ring!.fd;
  }

  /**
   * Resolves once the message that is under way is through, or at `over`. Whoever else reaps the
   * ring may take its completion, and then the ring cannot be read.
   */
  through(over: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.add(resolve);
      over.addEventListener("abort", () => {
        this.#waiters.delete(resolve);
        resolve();
      }, { once: true });
    });
  }

  /**
   * send(2) of one message: its length, or `WOULD_BLOCK`. What was begun is gone on with, so the
   * caller says it again until it is through, as with any socket; a caller who gives up will not
   * know whether the peer gets the message.
   */
  send(data: Uint8Array, flags: number): number {
    const { state } = this;
    if (state === "under way") return WOULD_BLOCK;
    if (state === "through" && this.#finish(data, flags)) return data.length;
    if ((pollNow(this.#fd, POLLOUT) & POLLOUT) === 0) {
      // No credit. An empty message goes nowhere, but is refused where a longer one would be.
      send(this.#fd, NOTHING, MSG_NOSIGNAL | MSG_DONTWAIT);
      return WOULD_BLOCK;
    }
    const ring = this.#findRing();
    if (ring === null) return this.#sendOrEnd(data, flags);
    this.#begin(ring, data, flags);
    if (this.#result === undefined) return WOULD_BLOCK;
    this.#finish(data, flags);
    return data.length;
  }

  /** Looks until there is one: descriptors or memory may be short for a moment. */
  #findRing(): Uring | null {
    if (this.#ring !== null) return this.#ring;
    const ring = this.#find();
    // Past some retries an io_uring lets a thread of the kernel block; it must be able to.
    if (ring !== null) fcntl(this.#fd, F_SETFL, fcntl(this.#fd, F_GETFL) & ~O_NONBLOCK);
    return this.#ring = ring;
  }

  /** Copies `data` and lets the kernel begin with it. */
  #begin(ring: Uring, data: Uint8Array, flags: number): void {
    const begun = this.#begun = this.#stage(data);
    this.#flags = flags;
    this.#result = undefined;
    this.#message.buffers[0] = begun;
    try {
      ring.sendmsg(this.#fd, this.#message, flags | MSG_NOSIGNAL, (result) => {
        this.#result = result;
        for (const resolve of this.#waiters) resolve();
        if (this.#closed) this.#staging?.unmap();
      });
    } catch (error) {
      this.#begun = undefined;
      throw error;
    }
  }

  /** Whether the message that is through is this one; throws what became of it. */
  #finish(data: Uint8Array, flags: number): boolean {
    const [begun, result] = [this.#begun!, this.#result!];
    this.#begun = undefined;
    if (result === -ERRNO.EAGAIN) this.#end();
    if (result < 0) throw this.#refusal(-result, begun.length);
    return flags === this.#flags && buffer().Buffer.compare(begun, data) === 0;
  }

  #stage(data: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#staging === undefined || this.#staging.byteLength < data.length) {
      this.#staging?.unmap();
      this.#staging = new MappedRegion(data.length);
    }
    this.#staging.releaseAll();
    const staged = this.#staging.lend(0, data.length);
    staged.set(data);
    return staged;
  }

  /** Without a ring. */
  #sendOrEnd(data: Uint8Array, flags: number): number {
    let sent: number;
    try {
      sent = send(this.#fd, data, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    } catch (error) {
      throw error instanceof SysError ? this.#refusal(error.errno, data.length) : error;
    }
    if (sent === WOULD_BLOCK) this.#end();
    return sent;
  }

  /** Linux before 6.2 says ENOMEM of a message that is too large. */
  #refusal(errno: number, length: number): SysError {
    const tooLarge = errno === ERRNO.ENOMEM && length > this.#bufferSize();
    return new SysError("send", tooLarge ? "EMSGSIZE" : errno);
  }

  #bufferSize(): number {
    const value = new BigUint64Array(1);
    getsockopt(this.#fd, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, value);
    return Number(value[0]);
  }

  /** The kernel has taken a part of a message, and nobody knows how much. */
  #end(): never {
    shutdown(this.#fd, SHUT_WR);
    throw new SysError("send", "ECONNABORTED");
  }

  /** The socket closes: gives the memory back, or has the kernel end what is under way first. */
  close(): void {
    this.#closed = true;
    if (this.state === "under way") shutdown(this.#fd, SHUT_RDWR);
    else this.#staging?.unmap();
  }
}
