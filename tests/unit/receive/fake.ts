/**
 * A socket and its receive mapping for the receiver's own tests: packets arrive when told to.
 *
 * @module
 */
import { POLLIN, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { MSG_EOR, MSG_PEEK, MSG_TRUNC, SO_RCVLOWAT } from "../../../ffi/abi/socket.ts";
import { VIRTIO_VSOCK_SEQ_EOM, VIRTIO_VSOCK_SEQ_EOR } from "../../../ffi/abi/virtio_vsock.ts";
import {
  POLL_VALUE_CLOSED,
  POLL_VALUE_EMPTY,
  SO_VM_SOCKETS_ZEROCOPY,
  USR_HDR_MAX,
  USR_PAGE_SIZE,
  UsrHdrPage,
} from "../../../ffi/abi/virtio_vsock_usr.ts";
import { SO_VM_SOCKETS_BUFFER_SIZE } from "../../../ffi/abi/vm_sockets.ts";
import { type Code, SysError } from "../../../ffi/errno.ts";
import {
  type MessageFlags,
  type RxMapping,
  type Socket,
  type SocketType,
  WOULD_BLOCK,
} from "../../../src/socket.ts";
import { Turns } from "../../../src/wait/turns.ts";

interface Arrival {
  bytes: Uint8Array<ArrayBuffer>;
  readonly flags: number;
}

/** What the fake is like; everything has a default. */
export interface FakeOptions {
  readonly type?: SocketType;
  /** `SO_VM_SOCKETS_ZEROCOPY`; `undefined` makes it unknown, as to a released kernel. */
  readonly zerocopy?: boolean | undefined;
  readonly mmapError?: Code;
  readonly spins?: boolean;
  readonly bufferSize?: number;
}

/** Obeys the project ABI as far as its test asks: everything queued is mapped or copied. */
export class FakeSocket implements Socket {
  readonly type: SocketType;
  readonly turns: Turns = new Turns();
  readonly queue: Arrival[] = [];
  readonly calls: string[] = [];
  closed = false;
  errno = 0;
  rcvlowat = 1;
  mapping: FakeMapping | undefined;
  readonly #options: FakeOptions;
  #ended = false;
  #wake: (() => void)[] = [];

  constructor(options: FakeOptions = {}) {
    this.type = options.type ?? "stream";
    this.#options = { zerocopy: true, ...options };
  }

  /** A packet arrives; gives the buffer it lies in. */
  arrive(bytes: Uint8Array<ArrayBuffer>, flags = 0): ArrayBuffer {
    this.queue.push({ bytes, flags });
    this.changed();
    return bytes.buffer;
  }
  /** The peer sends no more. */
  end(): void {
    this.#ended = true;
    this.changed();
  }
  changed(): void {
    const queued = this.queue.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const readable = queued >= this.rcvlowat ? 1 : 0;
    this.mapping?.page.storePollValue(this.#ended ? POLL_VALUE_CLOSED : readable);
    for (const wake of this.#wake.splice(0)) wake();
  }

  poll(events: number): number {
    const queued = this.queue.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const readable = this.#ended || queued >= this.rcvlowat ? POLLIN : 0;
    return (readable | (this.#ended ? POLLRDHUP : 0)) & (events | POLLRDHUP);
  }
  async wait(events: number, signal?: AbortSignal): Promise<number> {
    for (let now = this.poll(events);; now = this.poll(events)) {
      signal?.throwIfAborted();
      if (now !== 0) return now;
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        signal?.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
  waitSync(events: number, timeoutMs: number): number {
    this.calls.push(`waitSync(${events}, ${timeoutMs})`);
    const now = this.poll(events);
    if (now === 0 && timeoutMs > 0) throw new SysError("poll", "EOPNOTSUPP");
    return now;
  }
  recv(buffer: Uint8Array, flags: number, out: MessageFlags = { flags: 0 }): number {
    const first = this.queue[0];
    if (first === undefined) return this.#ended ? 0 : WOULD_BLOCK;
    const length = Math.min(buffer.length, first.bytes.length);
    buffer.set(first.bytes.subarray(0, length));
    if ((flags & MSG_PEEK) !== 0) return (flags & MSG_TRUNC) !== 0 ? first.bytes.length : length;
    if (this.type === "stream" && length < first.bytes.length) {
      first.bytes = first.bytes.slice(length);
      return length;
    }
    this.queue.shift();
    out.flags = (first.flags & VIRTIO_VSOCK_SEQ_EOR) === 0 ? 0 : MSG_EOR;
    if (length < first.bytes.length) out.flags |= MSG_TRUNC;
    this.changed();
    return (flags & MSG_TRUNC) !== 0 ? first.bytes.length : length;
  }
  getsockopt(_level: number, name: number, value: Uint8Array): number {
    const { zerocopy, bufferSize = 262144 } = this.#options;
    const view = new DataView(value.buffer);
    if (name === SO_RCVLOWAT) view.setInt32(0, this.rcvlowat, true);
    else if (name === SO_VM_SOCKETS_BUFFER_SIZE) view.setBigUint64(0, BigInt(bufferSize), true);
    else if (name === SO_VM_SOCKETS_ZEROCOPY && zerocopy !== undefined) {
      view.setBigUint64(0, zerocopy ? 1n : 0n, true);
    } else throw new SysError("getsockopt", "ENOPROTOOPT");
    return 8;
  }
  mmap(length: number, prot: number): RxMapping {
    this.calls.push(`mmap(${length}, ${prot})`);
    if (this.#options.mmapError !== undefined) throw new SysError("mmap", this.#options.mmapError);
    this.mapping = new FakeMapping(this, length / USR_PAGE_SIZE - 1, this.#options.spins ?? true);
    this.changed();
    return this.mapping;
  }
  takeError(): number {
    const { errno } = this;
    this.errno = 0;
    return errno;
  }
  remoteAddress(): { cid: number; port: number } {
    return { cid: 1, port: 1024 };
  }
  close(): void {
    this.closed = true;
  }
  [Symbol.dispose](): void {
    this.close();
  }
  bind(): void {}
  listen(): void {}
  connect(): boolean {
    return true;
  }
  accept(): undefined {}
  send(): number {
    return WOULD_BLOCK;
  }
  shutdown(): void {}
  setsockopt(): void {}
  outq(): number {
    return 0;
  }
  localAddress(): { cid: number; port: number } {
    return { cid: 1, port: 1025 };
  }
  ref(): void {}
  unref(): void {}
}

/** A mapping whose data pages are the buffers that the packets arrived in. */
export class FakeMapping implements RxMapping {
  readonly address: number = USR_PAGE_SIZE;
  readonly volatile = false;
  readonly page0: Int32Array = new Int32Array(USR_PAGE_SIZE / 4);
  readonly page: UsrHdrPage = new UsrHdrPage(this.page0);
  readonly dataPages: number;
  readonly spins: boolean;
  /** `[page, length]` of every view lent. */
  readonly lent: [number, number][] = [];
  /** Writes page 0 in place of `mapRx()` once. */
  forge: ((page: UsrHdrPage) => void) | undefined;
  advised = 0;
  unmapped = 0;
  readonly #socket: FakeSocket;
  readonly #pages: Map<number, Uint8Array<ArrayBuffer>> = new Map();

  constructor(socket: FakeSocket, dataPages: number, spins: boolean) {
    this.#socket = socket;
    this.dataPages = dataPages;
    this.spins = spins;
  }

  readable(): boolean {
    return this.page.pollValue !== POLL_VALUE_EMPTY;
  }
  mapRx(): void {
    if (this.#pages.size > 0) throw new SysError("getsockopt", "EBUSY");
    if (this.forge !== undefined) return this.forge(this.page);
    let [headers, page] = [0, 0];
    const { queue } = this.#socket;
    while (queue.length > 0 && headers < USR_HDR_MAX && page < this.dataPages) {
      const first = queue[0]!;
      const room = (this.dataPages - page) * USR_PAGE_SIZE;
      const whole = first.bytes.length <= room;
      const piece = whole ? first.bytes : first.bytes.slice(0, room);
      if (whole) queue.shift();
      else first.bytes = first.bytes.slice(room);
      this.#pages.set(page, piece);
      this.page.setHeader(headers++, piece.length, whole ? first.flags : 0);
      page += Math.ceil(piece.length / USR_PAGE_SIZE);
    }
    if (headers < USR_HDR_MAX) this.page.setHeader(headers, 0, 0);
    this.page.setHdrNum(page);
    this.#socket.changed();
  }
  lend(page: number, length: number): Uint8Array {
    this.lent.push([page, length]);
    const bytes = this.#pages.get(page);
    if (bytes === undefined || length > bytes.length) throw new RangeError("Cannot lend");
    return bytes.subarray(0, length);
  }
  advise(): void {
    this.advised++;
    for (const { buffer } of this.#pages.values()) buffer.transfer();
    this.#pages.clear();
  }
  unmap(): void {
    this.unmapped++;
    if (this.unmapped === 1) this.advise();
  }
}

/** `length` bytes that differ from their neighbours and from those of another `seed`. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) + seed * 31) & 0xff);
}

/** The flags of the last packet of a message. */
export const EOM: number = VIRTIO_VSOCK_SEQ_EOM;
/** The flags of the last packet of a record. */
export const EOM_EOR: number = VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR;
