/**
 * The memory of a fake guest: a file in memory, in regions as QEMU has them.
 *
 * @module
 */
import { close } from "../../ffi/file_calls.ts";
import { createMemfd } from "../../ffi/memfd.ts";
import { MappedRegion } from "../../ffi/memory.ts";
import type { Region } from "../../src/vhost_user/protocol.ts";

/** What `/proc/self/maps` calls it. */
export const RAM_NAME = "vsockit-fake-guest";
const MIB = 0x10_0000;
/** Below the hole that a PC has at 640 KiB, and from where it goes on. */
const [LOW_END, HIGH_START] = [0xa_0000, 0xc_0000];
/** Where the regions lie: as far apart as addresses of the guest and of QEMU are. */
const [LOW_USER, HIGH_USER] = [0x7f11_0000_0000, 0x7f22_8000_0000];
const HIGH_ADDRESS = 0x1_0000_0000;

/** Bytes of the guest that somebody has. */
export interface Block {
  /** Guest-physical, as descriptors have it. */
  readonly address: number;
  /** As the front end has it. */
  readonly userAddress: number;
  /** The bytes, live. */
  readonly bytes: Uint8Array;
}

/** How a {@linkcode Ram} is made. */
export interface RamOptions {
  /** Bytes of the file. @default {16 MiB} */
  readonly size?: number;
  /** 1 or 2. @default {2} */
  readonly regions?: 1 | 2;
}

/** The memory of one guest. Who makes it closes it. */
export class Ram implements Disposable {
  /** The file, sealed against shrinking. */
  readonly fd: number;
  /** The memory table; all of it is of {@linkcode fd}. */
  readonly regions: readonly Region[];
  /** The whole file, live. */
  readonly bytes: Uint8Array;
  readonly #mapped: MappedRegion;
  /** By region: the next free byte. */
  readonly #next: number[];

  constructor({ size = 16 * MIB, regions = 2 }: RamOptions = {}) {
    this.fd = createMemfd(RAM_NAME, size);
    this.#mapped = new MappedRegion(size, { fd: this.fd });
    this.bytes = this.#mapped.lend(0, size);
    const high = regions === 1 ? 0 : HIGH_START;
    this.regions = [
      { guestAddress: 0, size: LOW_END, userAddress: LOW_USER, offset: 0 },
      {
        guestAddress: HIGH_ADDRESS,
        size: size - high,
        userAddress: HIGH_USER + high,
        offset: high,
      },
    ].slice(-regions);
    this.#next = this.regions.map(() => 0);
  }

  /** Takes `length` bytes of region `index`, aligned to `align`. They are never given back. */
  take(length: number, align = 16, index: number = this.regions.length - 1): Block {
    const region = this.regions[index]!;
    const at = Math.ceil(this.#next[index]! / align) * align;
    if (at + length > region.size) throw new RangeError(`the fake guest has no ${length} bytes`);
    this.#next[index] = at + length;
    return {
      address: region.guestAddress + at,
      userAddress: region.userAddress + at,
      bytes: this.bytes.subarray(region.offset + at, region.offset + at + length),
    };
  }

  /** Unmaps it here, and closes the file. */
  close(): void {
    if (this.#mapped.address === 0) return;
    this.#mapped.unmap();
    close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Blocks of one size that are taken and given back. */
export class Pool {
  readonly #free: Block[];

  /** `count` blocks of `size` bytes, with `gap` bytes between any two. */
  constructor(ram: Ram, size: number, count: number, gap = 0) {
    this.#free = Array.from({ length: count }, () => {
      const block = ram.take(size);
      if (gap > 0) ram.take(gap);
      return block;
    });
  }

  /** How many can be taken. */
  get free(): number {
    return this.#free.length;
  }

  /** There must be one. */
  take(): Block {
    const block = this.#free.shift();
    if (block === undefined) throw new RangeError("the pool is empty");
    return block;
  }

  /** For who has done with it. */
  give(block: Block): void {
    this.#free.push(block);
  }
}
