/**
 * One ring as the front end describes it, message by message, until it can be used.
 *
 * @module
 */
import {
  VRING_AVAIL_ALIGN_SIZE,
  VRING_DESC_ALIGN_SIZE,
  VRING_USED_ALIGN_SIZE,
} from "../../ffi/abi/virtio_ring.ts";
import { SysError } from "../../ffi/errno.ts";
import { close, readlink } from "../../ffi/libc.ts";
import { QUEUE_SIZE_MAX, ringBytes } from "../virtio/split_ring.ts";
import type { GuestMemory } from "../virtio/chain.ts";
import { Virtqueue } from "../virtio/virtqueue.ts";
import { signalEvent } from "./eventfds.ts";
import { closePassed } from "./passed_fds.ts";
import type { GuestRam, LentBytes } from "./guest_ram.ts";
import { FrontEndError, type VringAddress } from "./protocol.ts";

/** The eventfds of a ring, by what they are for. */
export type Event = "kick" | "call" | "err";

/** What both sides have agreed on for all rings. */
export interface RingFeatures {
  readonly eventIdx: boolean;
  readonly indirect: boolean;
}

/** One ring. Owns its eventfds. */
export class Vring {
  /** Whether the front end lets it be used. */
  enabled = false;
  /** The ring at work, between `start()` and `stop()`. */
  queue: Virtqueue | undefined;
  #size = 0;
  #base = 0;
  #address: VringAddress | undefined;
  /** Where the ring lies, held while it is used, and its parts. */
  #ram: GuestRam | undefined;
  #parts: LentBytes[] = [];
  readonly #fds: Map<Event, number> = new Map();
  readonly #forget: (fd: number) => void;

  /** `forget` is told of each eventfd before it is closed. */
  constructor(forget: (fd: number) => void) {
    this.#forget = forget;
  }

  /** The eventfd that the guest kicks; `undefined` where there is none. */
  get kick(): number | undefined {
    return this.#fds.get("kick");
  }

  /** SET_VRING_NUM: descriptors. */
  set size(size: number) {
    if (size < 1 || size > QUEUE_SIZE_MAX || (size & (size - 1)) !== 0) {
      throw new FrontEndError(
        `a ring must have a power of 2 of descriptors up to ${QUEUE_SIZE_MAX}: ` +
          `current value is ${size}`,
      );
    }
    this.#requireStopped();
    this.#size = size;
  }

  /** SET_VRING_BASE: the available index to begin at. */
  set base(base: number) {
    if (base > 0xffff) {
      throw new FrontEndError(`a base must fit 16 bits: current value is ${base}`);
    }
    this.#requireStopped();
    this.#base = base;
  }

  /** SET_VRING_ADDR: where it lies. */
  set address(address: VringAddress) {
    if (address.flags !== 0) throw new FrontEndError("a ring must do without a log of its writes");
    this.#requireStopped();
    this.#address = address;
  }

  /**
   * Takes over an eventfd, in the place of the one before; `undefined` for none.
   *
   * @throws {FrontEndError} If it is another file: it is closed then.
   */
  setFd(event: Event, fd: number | undefined): void {
    if (fd !== undefined) requireEventFd(event, fd);
    const before = this.#fds.get(event);
    this.#fds.delete(event);
    if (fd !== undefined) this.#fds.set(event, fd);
    if (before !== undefined) {
      this.#forget(before);
      close(before);
    }
    if (fd === undefined || event === "err" || this.queue === undefined) return;
    signalEvent(fd); // what the one before was told may never be heard: look once more
  }

  /**
   * Begins to use the ring in `ram`, unless that goes on already.
   *
   * @param memory What descriptors are about, which may change meanwhile.
   * @throws {FrontEndError} If it was not described, or wrongly.
   */
  start(ram: GuestRam, memory: GuestMemory, features: RingFeatures): void {
    if (this.queue !== undefined) return;
    const address = this.#address;
    if (address === undefined || this.#size === 0) {
      throw new FrontEndError("a ring must have a size and an address before it is started");
    }
    const size = this.#size;
    const bytes = ringBytes(size);
    const part = (at: number, length: number, align: number): Uint8Array => {
      const lent = ram.ring(at, length, align);
      this.#parts.push(lent);
      return lent.bytes;
    };
    this.queue = new Virtqueue({
      ...features,
      size,
      memory,
      desc: part(address.desc, bytes.desc, VRING_DESC_ALIGN_SIZE),
      avail: part(address.avail, bytes.avail, VRING_AVAIL_ALIGN_SIZE),
      used: part(address.used, bytes.used, VRING_USED_ALIGN_SIZE),
      base: this.#base,
    });
    ram.hold();
    this.#ram = ram;
  }

  /** GET_VRING_BASE: stops it; the available index where it may go on. */
  stop(): number {
    if (this.queue !== undefined) this.#base = this.queue.lastAvail;
    this.queue = undefined;
    for (const part of this.#parts.splice(0)) part.release();
    this.#ram?.drop();
    this.#ram = undefined;
    return this.#base;
  }

  /** Tells the guest that chains were used, or the front end that the ring is broken. */
  signal(event: "call" | "err"): void {
    const fd = this.#fds.get(event);
    if (fd !== undefined) signalEvent(fd);
  }

  /** Stops it, and closes its eventfds. */
  close(): void {
    this.stop();
    for (const event of [...this.#fds.keys()]) this.setFd(event, undefined);
  }

  #requireStopped(): void {
    if (this.queue !== undefined) throw new FrontEndError("a ring must be stopped to be changed");
  }
}

/**
 * Of another file, who knows how long a read or a write takes, or where it goes: most of them have
 * none that never waits. Its name is the kernel's: to ask the file itself, by fstat(2) or
 * fstatfs(2), may take as long.
 */
function requireEventFd(event: Event, fd: number): void {
  let cause: SysError | undefined;
  try {
    if (readlink(`/proc/self/fd/${fd}`) === "anon_inode:[eventfd]") return;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    cause = error;
  }
  closePassed(fd);
  const untold = cause === undefined ? "" : `, as /proc has to tell: ${cause.message}`;
  throw new FrontEndError(`a ring's ${event} must be an eventfd${untold}`, { cause });
}
