/**
 * What QEMU 7.2 says over the socket of a vhost-user device, message by message. Each can be said
 * wrongly.
 *
 * @module
 */
import { POLLIN, POLLOUT } from "../../ffi/abi/poll.ts";
import { MSG_NOSIGNAL, SCM_RIGHTS, SHUT_WR, SOL_SOCKET } from "../../ffi/abi/socket.ts";
import { encodeControl } from "../../ffi/cmsg.ts";
import { SysError, WOULD_BLOCK } from "../../ffi/errno.ts";
import { Message } from "../../ffi/message.ts";
import { sendmsg } from "../../ffi/socket_calls.ts";
import { openUnix } from "../../src/kernel/tcp_unix.ts";
import type { KernelSocket } from "../../src/kernel/socket.ts";
import type { UnixAddress } from "../../src/address.ts";
import {
  FRAME_HEADER_SIZE,
  FRAME_NEED_REPLY,
  FRAME_REPLY,
  FRAME_VERSION,
  type Region,
  REQUEST,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VRING_NOFD,
} from "../../src/vhost_user/protocol.ts";

/** Bytes of the configuration: the CID. */
const CONFIG_SIZE = 8;
/** What QEMU asks of {@linkcode FrontEnd.handshake}, where it is offered. */
const WANTED = (1n << BigInt(VHOST_USER_PROTOCOL_F_CONFIG)) |
  (1n << BigInt(VHOST_USER_PROTOCOL_F_REPLY_ACK));

/** How a message is sent. */
export interface Sending {
  /** Header flags. @default {1} */
  readonly flags?: number;
  /** Descriptors that come along; they stay the caller's. @default {[]} */
  readonly fds?: readonly number[];
  /** The size that the header tells. @default {that of the payload} */
  readonly size?: number;
  /** Bytes of the message that are sent at all. @default {all} */
  readonly cut?: number;
}

/** What SET_VRING_NUM, _BASE, _ADDR and _KICK say of a ring. */
export interface RingSetup {
  /** Descriptors. */
  readonly num: number;
  /** The available index to begin at. */
  readonly base: number;
  /** Addresses of the front end. */
  readonly desc: number;
  readonly used: number;
  readonly avail: number;
  /** An eventfd; `undefined` for the flag that says that there is none. */
  readonly kick: number | undefined;
}

/** Two u32. */
export function u32s(...values: readonly number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** Some u64. */
export function u64s(...values: readonly (number | bigint)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BigUint64Array.from(values, BigInt).buffer);
}

/** The payload of SET_MEM_TABLE; `count` is what it tells, whatever there is. */
export function memoryTable(
  regions: readonly Region[],
  count: number = regions.length,
): Uint8Array<ArrayBuffer> {
  const rows = regions.flatMap(({ guestAddress, size, userAddress, offset }) => [
    ...[guestAddress, size, userAddress, offset],
  ]);
  return concat(u32s(count, 0), u64s(...rows));
}

/** Both in a row. */
export function concat(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** The bytes of a message, whatever it is. */
export function frame(
  request: number,
  body: Uint8Array,
  { flags = FRAME_VERSION, size = body.length, cut = Infinity }: Sending = {},
): Uint8Array<ArrayBuffer> {
  const bytes = concat(u32s(request, flags, size), body);
  return bytes.subarray(0, Math.min(cut, bytes.length));
}

/** sendmsg(2) with descriptors: bytes sent, or `WOULD_BLOCK`. */
export function sendFrame(
  fd: number,
  bytes: Uint8Array<ArrayBuffer>,
  fds: readonly number[] = [],
): number {
  const data = new Uint8Array(Int32Array.from(fds).buffer);
  const rights = { level: SOL_SOCKET, type: SCM_RIGHTS, data };
  const control = encodeControl(fds.length === 0 ? [] : [rights]);
  return sendmsg(fd, new Message([bytes], { control }), MSG_NOSIGNAL);
}

/** A u64 that is all of a payload: QEMU takes no other. */
function u64Of(payload: DataView): bigint {
  if (payload.byteLength === 8) return payload.getBigUint64(0, true);
  throw new Error(`a u64 must have 8 bytes, and not ${payload.byteLength}`);
}

/** A front end. Nothing blocks the event loop: the device may live in it. */
export class FrontEnd implements Disposable {
  /** Virtio features that the device has offered. */
  features = 0n;
  /** Protocol features that both have. */
  protocol = 0n;
  readonly #socket: KernelSocket<UnixAddress>;

  private constructor(socket: KernelSocket<UnixAddress>) {
    this.#socket = socket;
  }

  /** Connects to the device behind `path`; the caller hangs up. */
  static async connect(path: string): Promise<FrontEnd> {
    const socket = openUnix().socket("stream") as KernelSocket<UnixAddress>;
    try {
      if (!socket.connect({ path })) await socket.wait(POLLOUT);
      return new FrontEnd(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Sends a message, whatever it is. */
  async post(request: number, body: Uint8Array, how: Sending = {}): Promise<void> {
    await this.write(frame(request, body, how), how.fds);
  }

  /** Sends bytes, with descriptors beside the first of them. */
  async write(bytes: Uint8Array<ArrayBuffer>, fds: readonly number[] = []): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      const count = sendFrame(this.#socket.fd, bytes.subarray(sent), sent === 0 ? fds : []);
      if (count === WOULD_BLOCK) await this.#socket.wait(POLLOUT);
      else sent += count;
    }
  }

  /** Waits for the reply to `request`: its payload. */
  async reply(request: number): Promise<DataView> {
    const header = new DataView((await this.#read(FRAME_HEADER_SIZE)).buffer);
    const [got, flags] = [header.getUint32(0, true), header.getUint32(4, true)];
    if (got !== request || flags !== (FRAME_VERSION | FRAME_REPLY)) {
      throw new Error(`the reply to ${request} is one to ${got}, with flags ${flags}`);
    }
    return new DataView((await this.#read(header.getUint32(8, true))).buffer);
  }

  /** `post()`, then `reply()`. */
  async ask(request: number, body: Uint8Array, how: Sending = {}): Promise<DataView> {
    await this.post(request, body, how);
    return await this.reply(request);
  }

  /** Asks for a u64. */
  async askU64(request: number): Promise<bigint> {
    return u64Of(await this.ask(request, new Uint8Array(0)));
  }

  /** `ask()` for a 0, where both know REPLY_ACK and QEMU would ask; else `post()`. */
  async tell(request: number, body: Uint8Array, how: Sending = {}): Promise<void> {
    const acks = (this.protocol & (1n << BigInt(VHOST_USER_PROTOCOL_F_REPLY_ACK))) !== 0n;
    if (!acks) return await this.post(request, body, how);
    const flags = FRAME_VERSION | FRAME_NEED_REPLY;
    const result = u64Of(await this.ask(request, body, { ...how, flags }));
    if (result !== 0n) throw new Error(`request ${request} failed: ${result}`);
  }

  /**
   * What QEMU begins with: the CID of the guest. `events` gives those of each ring, now that
   * `features` are known.
   */
  async handshake(
    events: () => readonly { readonly call: number; readonly err: number }[],
    wanted: bigint = WANTED,
  ): Promise<number> {
    await this.askU64(REQUEST.GET_FEATURES);
    this.protocol = await this.askU64(REQUEST.GET_PROTOCOL_FEATURES) & wanted;
    await this.post(REQUEST.SET_PROTOCOL_FEATURES, u64s(this.protocol));
    await this.post(REQUEST.SET_OWNER, new Uint8Array(0));
    this.features = await this.askU64(REQUEST.GET_FEATURES);
    for (const [index, { call, err }] of events().entries()) {
      await this.setEvent(REQUEST.SET_VRING_CALL, index, call);
      await this.setEvent(REQUEST.SET_VRING_ERR, index, err);
    }
    const config = await this.config(0, CONFIG_SIZE);
    return Number(new DataView(config.buffer).getBigUint64(0, true));
  }

  /** GET_CONFIG. */
  async config(offset: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
    const body = concat(u32s(offset, size, 0), new Uint8Array(size).fill(0xff));
    const reply = await this.ask(REQUEST.GET_CONFIG, body);
    return new Uint8Array(reply.buffer as ArrayBuffer, reply.byteOffset).slice(12);
  }

  /** SET_MEM_TABLE, all of it in one file. */
  async setMemory(regions: readonly Region[], fd: number): Promise<void> {
    await this.tell(REQUEST.SET_MEM_TABLE, memoryTable(regions), { fds: regions.map(() => fd) });
  }

  /** SET_VRING_NUM, _BASE, _ADDR and _KICK of ring `index`. */
  async setRing(index: number, ring: RingSetup): Promise<void> {
    const { num, base, desc, used, avail, kick } = ring;
    await this.post(REQUEST.SET_VRING_NUM, u32s(index, num));
    await this.post(REQUEST.SET_VRING_BASE, u32s(index, base));
    const body = concat(u32s(index, 0), u64s(desc, used, avail, 0));
    await this.post(REQUEST.SET_VRING_ADDR, body);
    await this.setEvent(REQUEST.SET_VRING_KICK, index, kick);
  }

  /** SET_VRING_KICK, _CALL or _ERR. */
  async setEvent(request: number, index: number, fd: number | undefined): Promise<void> {
    const fds = fd === undefined ? [] : [fd];
    await this.post(request, u64s(fd === undefined ? index | VRING_NOFD : index), { fds });
  }

  /** SET_VRING_ENABLE. */
  async enable(index: number, on: boolean): Promise<void> {
    await this.post(REQUEST.SET_VRING_ENABLE, u32s(index, on ? 1 : 0));
  }

  /** GET_VRING_BASE: stops ring `index`; the available index where it may go on. */
  async getBase(index: number): Promise<number> {
    return (await this.ask(REQUEST.GET_VRING_BASE, u32s(index, 0))).getUint32(4, true);
  }

  /** Returns once the device has handled all that was sent. */
  async settled(): Promise<void> {
    await this.askU64(REQUEST.GET_FEATURES);
  }

  /** Waits for the device to close the connection, and hangs up. */
  async closed(): Promise<void> {
    const buffer = new Uint8Array(256);
    try {
      while (await this.#receive(buffer) > 0);
    } catch (error) {
      if (!(error instanceof SysError && error.code === "ECONNRESET")) throw error;
    }
    this.hangUp();
  }

  /** Says that no more will come. */
  end(): void {
    this.#socket.shutdown(SHUT_WR);
  }

  /** Ends the connection without a word. */
  hangUp(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.hangUp();
  }

  async #receive(buffer: Uint8Array): Promise<number> {
    for (;;) {
      const got = this.#socket.recv(buffer, 0);
      if (got !== WOULD_BLOCK) return got;
      await this.#socket.wait(POLLIN);
    }
  }

  async #read(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const got = await this.#receive(bytes.subarray(at));
      if (got === 0) throw new Error("the device has closed the connection");
      at += got;
    }
    return bytes;
  }
}
