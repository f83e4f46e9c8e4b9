/** A VMM and the device's session with it, with no event loop: each message is handled at once. */
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../ffi/abi/eventfd.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, eventfd } from "../../ffi/file_calls.ts";
import { recv, socketpair } from "../../ffi/socket_calls.ts";
import { type Guest, RX, TX } from "../../src/vhost_user/guest.ts";
import { FrontEndError, REQUEST } from "../../src/vhost_user/protocol.ts";
import { Session } from "../../src/vhost_user/session.ts";
import { ringBytes, type RingMemory } from "../../src/virtio/split_ring.ts";
import {
  frame,
  memoryTable,
  type RingSetup,
  sendFrame,
  type Sending,
  u32s,
  u64s,
} from "../device/front_end.ts";
import { type Block, Ram } from "../device/ram.ts";
import { Driver, ringIn } from "../unit/virtio/virtqueue_driver.ts";

/** Descriptors of a ring. */
export const RING_SIZE = 16;
const OFFERED = 1n << 32n | 2n | 1n << 28n | 1n << 29n;
const KIND = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

/** How a driver works its rings. */
export interface Mode {
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly base: number;
}

/** One ring, and its driver. */
export interface Ring {
  readonly block: Block;
  readonly memory: RingMemory;
  readonly tables: Block;
  readonly setup: RingSetup;
  driver: Driver;
}

/** A machine. Who makes it closes it. */
export class Vmm implements Disposable {
  readonly guest: Guest;
  readonly ram: Ram = new Ram({ size: 0x40_0000 });
  readonly rings: readonly [Ring, Ring];
  mode: Mode = { eventIdx: true, indirect: true, base: 0 };
  /** How often the device has hung up. */
  hangUps = 0;
  #session: Session | undefined;
  #fds: readonly [number, number] | undefined;
  readonly #eventfd: number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  readonly #replies: Uint8Array<ArrayBuffer> = new Uint8Array(4096);

  constructor(guest: Guest) {
    this.guest = guest;
    this.rings = [this.#ring(0), this.#ring(1)];
  }

  get rx(): Ring {
    return this.rings[RX];
  }

  get tx(): Ring {
    return this.rings[TX];
  }

  /** Sends a message and has the device handle it: whether it still listens. */
  say(request: number, body: Uint8Array, how: Sending = {}): boolean {
    this.#connect();
    sendFrame(this.#fds![0], frame(request, body, how), how.fds);
    const session = this.#session!;
    try {
      let more: boolean | null = true;
      while (more) {
        more = session.step();
        this.guest.update(session);
      }
    } catch (error) {
      if (!(error instanceof FrontEndError || error instanceof SysError)) throw error;
      this.hangUp();
      this.hangUps++;
      return false;
    }
    recv(this.#fds![0], this.#replies, 0);
    return true;
  }

  /** Starts a driver, from nothing or where one runs. */
  boot(mode: Mode): void {
    this.mode = mode;
    const { eventIdx, indirect, base } = mode;
    const features = 1n << 32n | 1n << 30n | 2n | (eventIdx ? 1n << 29n : 0n) |
      (indirect ? 1n << 28n : 0n);
    if (this.#session !== undefined) {
      for (const index of [RX, TX]) this.say(REQUEST.GET_VRING_BASE, u32s(index, 0));
    }
    const { fd, regions } = this.ram;
    this.say(REQUEST.SET_FEATURES, u64s(features));
    this.say(REQUEST.SET_MEM_TABLE, memoryTable(regions), { fds: regions.map(() => fd) });
    for (const [index, ring] of this.rings.entries()) {
      ring.block.bytes.fill(0);
      ring.driver = this.#driver(ring.memory, ring.tables);
      const { num, desc, used, avail } = ring.setup;
      this.say(REQUEST.SET_VRING_NUM, u32s(index, num));
      this.say(REQUEST.SET_VRING_BASE, u32s(index, base));
      this.say(REQUEST.SET_VRING_ADDR, address(index, desc, used, avail));
      this.say(REQUEST.SET_VRING_CALL, u64s(index), { fds: [this.#eventfd] });
      this.say(REQUEST.SET_VRING_KICK, u64s(index), { fds: [this.#eventfd] });
      this.say(REQUEST.SET_VRING_ENABLE, u32s(index, 1));
    }
    if (!this.guest.up) throw new Error("the guest is not up");
  }

  /** Ends the connection; the next message makes another. */
  hangUp(): void {
    if (this.#fds === undefined) return;
    this.guest.stop();
    this.#session!.close();
    for (const fd of this.#fds) close(fd);
    this.#session = this.#fds = undefined;
  }

  [Symbol.dispose](): void {
    this.hangUp();
    close(this.#eventfd);
    this.ram.close();
  }

  #connect(): void {
    if (this.#fds !== undefined) return;
    this.#fds = socketpair(AF_UNIX, KIND);
    this.#session = new Session(this.#fds[1], {
      features: OFFERED,
      config: new Uint8Array(8),
      rings: 2,
      forget: () => {},
      stopping: () => this.guest.stop(),
    });
  }

  #ring(region: number): Ring {
    const sizes = ringBytes(RING_SIZE);
    const block = this.ram.take(sizes.desc + sizes.avail + sizes.used + 4, 16, region);
    const memory = ringIn(block.bytes, RING_SIZE);
    const tables = this.ram.take(16 * RING_SIZE * RING_SIZE);
    const at = ({ byteOffset }: Uint8Array): number =>
      block.userAddress + byteOffset - block.bytes.byteOffset;
    const { desc, used, avail } = memory;
    const addresses = { desc: at(desc), used: at(used), avail: at(avail) };
    const setup = { num: RING_SIZE, base: 0, kick: undefined, ...addresses };
    return { block, memory, tables, setup, driver: this.#driver(memory, tables) };
  }

  #driver(memory: RingMemory, tables: Block): Driver {
    const { eventIdx, base } = this.mode;
    return new Driver({ ...memory, eventIdx, base, tables });
  }
}

function address(
  index: number,
  desc: number,
  used: number,
  avail: number,
): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(40);
  body.set(u32s(index, 0));
  body.set(u64s(desc, used, avail, 0), 8);
  return body;
}
