/**
 * One front end, from its first message to its last: what it asks of us, and what it is told.
 *
 * @module
 */
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../ffi/abi/virtio_ring.ts";
import type { GuestMemory } from "../virtio/chain.ts";
import { Channel, type Frame } from "./channel.ts";
import { closePassed } from "./passed_fds.ts";
import { GuestRam } from "./guest_ram.ts";
import {
  bit,
  decodeRegions,
  decodeU64,
  decodeVringAddress,
  decodeVringState,
  FRAME_NEED_REPLY,
  FrontEndError,
  REQUEST,
  requireBody,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VRING_INDEX_MASK,
  VRING_NOFD,
} from "./protocol.ts";
import { type Event, Vring } from "./vring.ts";

const PROTOCOL_FEATURES = bit(VHOST_USER_PROTOCOL_F_CONFIG) |
  bit(VHOST_USER_PROTOCOL_F_REPLY_ACK);
/** GET_CONFIG: u32 offset, u32 size, u32 flags, then the bytes. */
const CONFIG_HEADER_SIZE = 12;

/** What a session needs of its device. */
export interface SessionHost {
  /** Virtio features to offer, by bits; those of rings and the protocol come on top. */
  readonly features: bigint;
  /** The device's configuration space. */
  readonly config: Uint8Array;
  /** How many rings are used. One more may be set up, which a driver has for events. */
  readonly rings: number;
  /** Called before an eventfd is closed. */
  forget(fd: number): void;
  /** Called before a ring that is used is stopped: its chains are to be given back. */
  stopping(): void;
}

/** A front end's state here. Owns its memory and rings; the socket is the caller's. */
export class Session implements GuestMemory {
  /** Those that are used. */
  readonly rings: readonly Vring[];
  /** Also that for events, which most front ends keep to themselves. */
  readonly #all: readonly Vring[];
  readonly #host: SessionHost;
  readonly #offered: bigint;
  readonly #channel: Channel;
  #features = 0n;
  #protocol = 0n;
  #ram: GuestRam | undefined;

  /** Over `fd`, a connected stream socket that does not block. */
  constructor(fd: number, host: SessionHost) {
    this.#host = host;
    this.#offered = host.features | bit(VHOST_USER_F_PROTOCOL_FEATURES);
    this.#channel = new Channel(fd);
    const length = host.rings + 1;
    this.#all = Array.from({ length }, () => new Vring((fd) => host.forget(fd)));
    this.rings = this.#all.slice(0, host.rings);
  }

  /** The memory of the guest now; `undefined` before its first table. */
  get ram(): GuestRam | undefined {
    return this.#ram;
  }

  /** Whether the guest's driver runs, and its rings may be used. */
  get active(): boolean {
    const enabled = !this.has(VHOST_USER_F_PROTOCOL_FEATURES);
    return this.rings.every((ring) => ring.queue !== undefined && (enabled || ring.enabled));
  }

  /** Whether the guest has agreed to a virtio feature. */
  has(feature: number): boolean {
    return (this.#features & bit(feature)) !== 0n;
  }

  /** Bytes of the guest as descriptors name them. */
  bytes(address: number, length: number): Uint8Array | undefined {
    return this.#ram?.bytes(address, length);
  }

  /**
   * Handles one message: `false` where there is none, `null` where there will be none.
   *
   * @throws {FrontEndError} If it breaks the protocol: close the connection.
   * @throws {SysError} Where a system call fails for it.
   */
  step(): boolean | null {
    const frame = this.#channel.read();
    if (!frame) return frame === null ? null : false;
    try {
      const reply = this.#handle(frame);
      if (frame.fdsLeft > 0) throw new FrontEndError("a message must bring no further descriptors");
      if (reply !== undefined) this.#channel.reply(frame.request, reply);
      else if (this.#wantsAck(frame)) this.#channel.reply(frame.request, new Uint8Array(8));
      return true;
    } finally {
      frame.closeRest();
    }
  }

  /** Gives everything back. */
  close(): void {
    for (const ring of this.#all) ring.close();
    this.#channel.close();
    this.#ram?.drop();
    this.#ram = undefined;
  }

  #wantsAck(frame: Frame): boolean {
    return (frame.flags & FRAME_NEED_REPLY) !== 0 &&
      (this.#protocol & bit(VHOST_USER_PROTOCOL_F_REPLY_ACK)) !== 0n;
  }

  #handle(frame: Frame): Uint8Array | undefined {
    const { request, body } = frame;
    switch (request) {
      case REQUEST.GET_FEATURES:
        return u64(this.#offered);
      case REQUEST.SET_FEATURES:
        this.#features = this.#agreed(body, this.#offered);
        return undefined;
      case REQUEST.GET_PROTOCOL_FEATURES:
        return u64(PROTOCOL_FEATURES);
      case REQUEST.SET_PROTOCOL_FEATURES:
        this.#protocol = this.#agreed(body, PROTOCOL_FEATURES);
        return undefined;
      case REQUEST.SET_OWNER:
      case REQUEST.RESET_OWNER:
        return undefined;
      case REQUEST.SET_MEM_TABLE:
        this.#setMemory(frame);
        return undefined;
      case REQUEST.GET_CONFIG:
        return this.#config(body);
      default:
        return this.#handleRing(frame);
    }
  }

  #handleRing(frame: Frame): Uint8Array | undefined {
    const { request, body } = frame;
    switch (request) {
      case REQUEST.SET_VRING_NUM: {
        const { index, value } = decodeVringState(body);
        this.#ring(index).size = value;
        return undefined;
      }
      case REQUEST.SET_VRING_BASE: {
        const { index, value } = decodeVringState(body);
        this.#ring(index).base = value;
        return undefined;
      }
      case REQUEST.SET_VRING_ADDR: {
        const address = decodeVringAddress(body);
        this.#ring(address.index).address = address;
        return undefined;
      }
      case REQUEST.SET_VRING_ENABLE: {
        const { index, value } = decodeVringState(body);
        this.#ring(index).enabled = value !== 0;
        return undefined;
      }
      case REQUEST.GET_VRING_BASE:
        return this.#stop(body);
      case REQUEST.SET_VRING_KICK:
        this.#start(this.#setFd("kick", frame));
        return undefined;
      case REQUEST.SET_VRING_CALL:
        this.#setFd("call", frame);
        return undefined;
      case REQUEST.SET_VRING_ERR:
        this.#setFd("err", frame);
        return undefined;
      default:
        throw new FrontEndError(`a request must be a known one: current value is ${request}`);
    }
  }

  #ring(index: number): Vring {
    const ring = this.#all[index];
    if (ring !== undefined) return ring;
    throw new FrontEndError(
      `a ring's index must be below ${this.#all.length}: current value is ${index}`,
    );
  }

  #agreed(body: DataView, offered: bigint): bigint {
    const wanted = decodeU64(body);
    if ((wanted & ~offered) === 0n) return wanted;
    throw new FrontEndError(`features must be of those offered: current value is ${wanted}`);
  }

  #setMemory(frame: Frame): void {
    const regions = decodeRegions(frame.body);
    const fds: number[] = [];
    try {
      for (let i = 0; i < regions.length; i++) fds.push(frame.takeFd());
      const ram = new GuestRam(regions, fds);
      this.#ram?.drop();
      this.#ram = ram;
    } finally {
      for (const fd of fds) closePassed(fd);
    }
  }

  #config(body: DataView): Uint8Array {
    if (body.byteLength < CONFIG_HEADER_SIZE) requireBody(body, CONFIG_HEADER_SIZE);
    const [offset, size] = [body.getUint32(0, true), body.getUint32(4, true)];
    requireBody(body, CONFIG_HEADER_SIZE + size);
    const reply = new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice();
    reply.fill(0, CONFIG_HEADER_SIZE);
    reply.set(this.#host.config.subarray(offset, offset + size), CONFIG_HEADER_SIZE);
    return reply;
  }

  #setFd(event: Event, frame: Frame): number {
    const value = Number(decodeU64(frame.body));
    const index = value & VRING_INDEX_MASK;
    const ring = this.#ring(index);
    const none = (value & VRING_NOFD) !== 0;
    if (none && event === "kick") throw new FrontEndError("a ring must have a kick");
    ring.setFd(event, none ? undefined : frame.takeFd());
    return index;
  }

  #start(index: number): void {
    if (this.#ram === undefined) throw new FrontEndError("a ring must lie in a memory table");
    this.#ring(index).start(this.#ram, this, {
      eventIdx: this.has(VIRTIO_RING_F_EVENT_IDX),
      indirect: this.has(VIRTIO_RING_F_INDIRECT_DESC),
    });
  }

  #stop(body: DataView): Uint8Array {
    const { index } = decodeVringState(body);
    const ring = this.#ring(index);
    if (this.rings.includes(ring)) this.#host.stopping();
    const base = ring.stop();
    ring.setFd("kick", undefined);
    const reply = new DataView(new ArrayBuffer(8));
    reply.setUint32(0, index, true);
    reply.setUint32(4, base, true);
    return new Uint8Array(reply.buffer);
  }
}

function u64(value: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value, true);
  return new Uint8Array(view.buffer);
}
