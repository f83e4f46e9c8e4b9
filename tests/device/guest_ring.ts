/**
 * One ring of a fake guest: its memory, its eventfds, and its driver.
 *
 * @module
 */
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../ffi/abi/eventfd.ts";
import { POLLIN, POLLNVAL } from "../../ffi/abi/poll.ts";
import { close, eventfd, read, write } from "../../ffi/file_calls.ts";
import { Hold, reactor } from "../../src/kernel/reactor.ts";
import { ringBytes, type RingMemory } from "../../src/virtio/split_ring.ts";
import { Driver, ringIn, type Used } from "../unit/virtio/virtqueue_driver.ts";
import type { RingSetup } from "./front_end.ts";
import type { Block, Ram } from "./ram.ts";

const ONE: Uint8Array<ArrayBuffer> = new Uint8Array(BigUint64Array.of(1n).buffer);

/** How a {@linkcode GuestRing} is made. */
export interface RingOptions {
  /** Descriptors: a power of 2. */
  readonly size: number;
  /** Whether EVENT_IDX was agreed on. */
  readonly eventIdx: boolean;
  /** Whether INDIRECT_DESC was. */
  readonly indirect: boolean;
  /** Where the indices begin. @default {0} */
  readonly base?: number;
  /** The region of the memory that it lies in. @default {the last one} */
  readonly region?: number | undefined;
}

/** One ring. Who makes it closes it, after the device has it no more. */
export class GuestRing implements Disposable {
  readonly driver: Driver;
  /** The three parts, live. */
  readonly memory: RingMemory;
  /** Written for the device to look. */
  readonly kick: number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  /** Written by the device for the guest to look. */
  readonly call: number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  /** Written by the device where it does without this ring. */
  readonly err: number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  /** How often each side was notified. */
  kicks = 0;
  calls = 0;
  readonly #setup: Omit<RingSetup, "kick">;
  readonly #hold: Hold = new Hold();
  #closed = false;

  /** Takes what it needs of `ram`. */
  constructor(ram: Ram, { size, eventIdx, indirect, base = 0, region }: RingOptions) {
    const sizes = ringBytes(size);
    const block = ram.take(sizes.desc + sizes.avail + sizes.used + 4, 16, region);
    block.bytes.fill(0);
    const parts = this.memory = ringIn(block.bytes, size);
    const tables = indirect ? { tables: ram.take(16 * size * size) } : {};
    this.driver = new Driver({ ...parts, eventIdx, base, ...tables });
    this.#setup = {
      num: size,
      base,
      desc: userAddress(block, parts.desc),
      avail: userAddress(block, parts.avail),
      used: userAddress(block, parts.used),
    };
    this.#hold.unref();
  }

  /** What the front end tells the device of it. */
  get setup(): RingSetup {
    return { ...this.#setup, kick: this.kick };
  }

  /** Shows the device what was staged, and kicks it where it wants that. */
  publish(): void {
    this.driver.publish();
    if (!this.driver.kickNeeded()) return;
    this.kickNow();
  }

  /** Kicks the device whether it wants that or not. */
  kickNow(): void {
    this.kicks++;
    write(this.kick, ONE);
  }

  /** Has `look` run at each call, and once at first, until `close()`. It must not throw. */
  watch(look: () => void): void {
    void this.#watch(look);
  }

  /** Waits for the device to give a chain back. */
  async used(signal: AbortSignal = AbortSignal.timeout(30_000)): Promise<Used> {
    for (;;) {
      const used = this.driver.getUsed();
      if (used !== undefined) return used;
      if (this.driver.enableCalls()) continue;
      await reactor().wait(this.call, POLLIN, this.#hold, signal);
      read(this.call, new Uint8Array(8));
    }
  }

  /** Whether the device has told that it does without this ring; clears that. */
  takeError(): boolean {
    return read(this.err, new Uint8Array(8)) === 8;
  }

  /** Waits until the device tells that it does without this ring. */
  async broken(signal?: AbortSignal): Promise<void> {
    await reactor().wait(this.err, POLLIN, this.#hold, signal);
  }

  /** Ends what `watch()` began, and closes the eventfds. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of [this.kick, this.call, this.err]) {
      reactor().forget(fd);
      close(fd);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #watch(look: () => void): Promise<void> {
    const count = new Uint8Array(8);
    look();
    while (!this.#closed) {
      if (await reactor().wait(this.call, POLLIN, this.#hold) & POLLNVAL || this.#closed) return;
      read(this.call, count);
      this.calls++;
      look();
    }
  }
}

function userAddress({ bytes, userAddress }: Block, part: Uint8Array): number {
  return userAddress + part.byteOffset - bytes.byteOffset;
}
