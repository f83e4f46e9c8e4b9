/**
 * A machine without an emulator: a front end, the memory, the rings and the guest, put together in
 * the order that QEMU 7.2 does it.
 *
 * @module
 */
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from "../../ffi/abi/virtio_ring.ts";
import { VIRTIO_VSOCK_F_SEQPACKET } from "../../ffi/abi/virtio_vsock.ts";
import type { Transport } from "../../src/transport.ts";
import {
  REQUEST,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VIRTIO_F_VERSION_1,
} from "../../src/vhost_user/protocol.ts";
import { RX, TX } from "../../src/vhost_user/guest.ts";
import { FrontEnd, u64s } from "./front_end.ts";
import { FakeGuest, type GuestOptions } from "./guest.ts";
import { GuestRing } from "./guest_ring.ts";
import { Ram, type RamOptions } from "./ram.ts";

/** Descriptors of a ring in QEMU. */
const RING_SIZE = 128;

/** How a {@linkcode Machine} is made. */
export interface MachineOptions extends RamOptions, GuestOptions {
  /** Where the device listens. */
  readonly socketPath: string;
  /** Whether the guest wants EVENT_IDX, INDIRECT_DESC and SEQPACKET. @default {true} */
  readonly eventIdx?: boolean;
  readonly indirect?: boolean;
  readonly seqpacket?: boolean;
  /** Descriptors of each ring. @default {128} */
  readonly ringSize?: number;
  /** Where the indices of the rings begin. @default {0} */
  readonly base?: number;
  /** Protocol features that QEMU wants. @default {CONFIG, REPLY_ACK} */
  readonly protocol?: bigint;
}

const bit = (n: number): bigint => 1n << BigInt(n);

/** The front end and its guest. */
export class Machine implements Disposable {
  readonly frontEnd: FrontEnd;
  readonly ram: Ram;
  /** As the device tells it. */
  readonly cid: number;
  /** Virtio features that the guest wants and the device offers. */
  readonly features: bigint;
  readonly #options: MachineOptions;
  #rings: readonly [GuestRing, GuestRing];
  #guest: FakeGuest | undefined;
  #closed = false;

  private constructor(
    options: MachineOptions,
    parts: { frontEnd: FrontEnd; ram: Ram; rings: readonly [GuestRing, GuestRing]; cid: number },
  ) {
    this.#options = options;
    this.frontEnd = parts.frontEnd;
    this.ram = parts.ram;
    this.#rings = parts.rings;
    this.cid = parts.cid;
    this.features = parts.frontEnd.features & wanted(options);
  }

  /** Makes one as far as the handshake, with no driver in it yet. The caller closes it. */
  static async powerOn(options: MachineOptions): Promise<Machine> {
    const frontEnd = await FrontEnd.connect(options.socketPath);
    const ram = new Ram(options);
    let rings: readonly [GuestRing, GuestRing] | undefined;
    const events = (): readonly GuestRing[] =>
      rings = makeRings(ram, frontEnd.features & wanted(options), options);
    try {
      const cid = await frontEnd.handshake(events, options.protocol);
      return new Machine(options, { frontEnd, ram, rings: rings!, cid });
    } catch (error) {
      frontEnd.hangUp();
      for (const ring of rings ?? []) ring.close();
      ram.close();
      throw error;
    }
  }

  /** Makes one whose guest is up. The caller closes it. */
  static async start(options: MachineOptions): Promise<Machine> {
    const machine = await Machine.powerOn(options);
    try {
      await machine.boot();
      return machine;
    } catch (error) {
      machine.close();
      throw error;
    }
  }

  /** The rings of the driver that runs, or is about to. */
  get rings(): readonly [GuestRing, GuestRing] {
    return this.#rings;
  }

  /** The guest, which is up. */
  get guest(): FakeGuest {
    if (this.#guest === undefined) throw new Error("the machine has no guest yet");
    return this.#guest;
  }

  /** Makes the sockets of the guest. */
  get transport(): Transport {
    return this.guest.transport;
  }

  /** What QEMU says when the guest's driver is ready, and the guest. */
  async boot(): Promise<void> {
    await this.describe();
    await this.enable();
    const { ram, cid, features, rings: [rx, tx] } = this;
    this.#guest = new FakeGuest({
      ...{ cid, ram, rx, tx },
      indirect: (features & bit(VIRTIO_RING_F_INDIRECT_DESC)) !== 0n,
      seqpacket: (features & bit(VIRTIO_VSOCK_F_SEQPACKET)) !== 0n,
    }, this.#options);
  }

  /** Features, memory and rings, which are not enabled then. */
  async describe(bases?: readonly number[]): Promise<void> {
    const { frontEnd, rings, ram, features } = this;
    for (const index of [TX, RX]) {
      await frontEnd.setEvent(REQUEST.SET_VRING_CALL, index, rings[index]!.call);
    }
    await frontEnd.post(REQUEST.SET_FEATURES, u64s(features));
    await frontEnd.setMemory(ram.regions, ram.fd);
    for (const [index, { setup }] of rings.entries()) {
      await frontEnd.setRing(index, { ...setup, base: bases?.[index] ?? setup.base });
    }
  }

  /** Has the device use the rings. */
  async enable(): Promise<void> {
    const { frontEnd, rings } = this;
    for (const index of rings.keys()) await frontEnd.enable(index, true);
    for (const [index, { call }] of rings.entries()) {
      await frontEnd.setEvent(REQUEST.SET_VRING_CALL, index, call);
    }
  }

  /** What QEMU says when it pauses, or when the driver is gone: where each ring may go on. */
  async pause(): Promise<number[]> {
    const { frontEnd, rings } = this;
    for (const index of rings.keys()) await frontEnd.enable(index, false);
    const bases: number[] = [];
    for (const index of rings.keys()) bases.push(await frontEnd.getBase(index));
    for (const [index, { call }] of rings.entries()) {
      await frontEnd.setEvent(REQUEST.SET_VRING_CALL, index, call);
    }
    return bases;
  }

  /** After `pause()`: the guest goes on, and knows of nothing. */
  async resume(bases: readonly number[]): Promise<void> {
    await this.describe(bases);
    await this.enable();
    for (const ring of this.rings) ring.kickNow();
  }

  /** The driver is unloaded, and loaded again with rings of its own. */
  async reboot(): Promise<void> {
    await this.pause();
    this.#guest?.stop();
    for (const ring of this.#rings) ring.close();
    this.#rings = makeRings(this.ram, this.features, this.#options);
    await this.boot();
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The end of QEMU, without a word. The second call does nothing. */
  close(): void {
    this.#closed = true;
    this.frontEnd.hangUp();
    this.#guest?.stop();
    for (const ring of this.rings) ring.close();
    this.ram.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function makeRings(
  ram: Ram,
  features: bigint,
  { ringSize: size = RING_SIZE, base = 0 }: MachineOptions,
): readonly [GuestRing, GuestRing] {
  const eventIdx = (features & bit(VIRTIO_RING_F_EVENT_IDX)) !== 0n;
  const indirect = (features & bit(VIRTIO_RING_F_INDIRECT_DESC)) !== 0n;
  const ring = { size, base, eventIdx, indirect };
  return [new GuestRing(ram, { ...ring, region: 0 }), new GuestRing(ram, ring)];
}

function wanted({ eventIdx = true, indirect = true, seqpacket = true }: MachineOptions): bigint {
  return bit(VIRTIO_F_VERSION_1) | bit(VHOST_USER_F_PROTOCOL_FEATURES) |
    (eventIdx ? bit(VIRTIO_RING_F_EVENT_IDX) : 0n) |
    (indirect ? bit(VIRTIO_RING_F_INDIRECT_DESC) : 0n) |
    (seqpacket ? bit(VIRTIO_VSOCK_F_SEQPACKET) : 0n);
}
