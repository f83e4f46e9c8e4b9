/**
 * A guest's memory: the regions of SET_MEM_TABLE, mapped here.
 *
 * @module
 */
import { F_SEAL_SHRINK } from "../../ffi/abi/fcntl.ts";
import { sealsOf } from "../../ffi/memfd.ts";
import { MappedRegion } from "../../ffi/memory.ts";
import type { GuestMemory } from "../virtio/chain.ts";
import { FrontEndError, type Region } from "./protocol.ts";

/** One view is at most this long, some engines have no longer ones; an address is found by it. */
const WINDOW = 2 ** 30;
/** Every range of at most this many bytes lies within one view: views overlap by so much. */
export const RANGE_MAX = 0x10_0000;

/** One region, and views over all of it that are made when needed. */
class Mapped {
  readonly region: Region;
  readonly memory: MappedRegion;
  readonly #windows: Uint8Array[] = [];

  constructor(region: Region, fd: number) {
    this.region = region;
    // A buffer that was transferred away is its taker's loss: the guest goes on.
    this.memory = new MappedRegion(region.offset + region.size, { fd, stolen: "keep" });
  }

  /** Whether `length` bytes at `offset` of the region lie within it. */
  has(offset: number, length: number): boolean {
    return offset >= 0 && offset + length <= this.region.size;
  }

  window(offset: number): Uint8Array {
    const index = Math.floor(offset / WINDOW);
    return this.#windows[index] ??= this.memory.lend(
      this.region.offset + index * WINDOW,
      Math.min(WINDOW + RANGE_MAX, this.region.size - index * WINDOW),
    );
  }
}

/** A view that somebody was lent, and how it is taken back. */
export interface LentBytes {
  readonly bytes: Uint8Array;
  /** Kills the view. To be called once. */
  release(): void;
}

/**
 * The memory of one guest. Whoever uses it across turns of the event loop holds it: it is unmapped
 * once it is closed and nobody holds it, so that what a user was lent stays there until released.
 */
export class GuestRam implements GuestMemory {
  readonly #regions: Mapped[] = [];
  #last: Mapped;
  #holders = 1;

  /**
   * Maps `regions` of `fds`, one by one, which the caller can close then.
   *
   * @throws {FrontEndError} If a file is not sealed against shrinking, of huge pages, or too short.
   * @throws {SysError} What mmap(2) refuses.
   */
  constructor(regions: readonly Region[], fds: readonly number[]) {
    try {
      for (let i = 0; i < regions.length; i++) {
        const region = regions[i]!;
        if (this.#regions.some((other) => overlap(other.region, region))) {
          throw new FrontEndError("regions must not overlap");
        }
        this.#regions.push(mapped(region, fds[i]!));
      }
    } catch (error) {
      this.drop();
      throw error;
    }
    this.#last = this.#regions[0]!;
  }

  /**
   * `length` (1 to {@linkcode RANGE_MAX}) bytes at the guest-physical `address`, live: only to copy
   * from or to. `undefined` where they are not all within one region.
   */
  bytes(address: number, length: number): Uint8Array | undefined {
    const found = this.#find(address, length);
    if (found === undefined || length > RANGE_MAX || length < 1) return undefined;
    const offset = address - found.region.guestAddress;
    const window = found.window(offset);
    return new Uint8Array(window.buffer, offset % WINDOW, length);
  }

  /** Whether `length` bytes at the guest-physical `address` are all within one region. */
  has(address: number, length: number): boolean {
    return this.#find(address, length) !== undefined;
  }

  /** A view of its own over bytes of the guest, to be lent to a user. */
  lend(address: number, length: number): LentBytes {
    const { region, memory } = this.#find(address, length)!;
    return lentOf(memory, region.offset + address - region.guestAddress, length);
  }

  /**
   * A view of its own over `length` bytes at `address` of the front end: for a part of a ring,
   * which is aligned to `align` bytes.
   *
   * @throws {FrontEndError} If there is no such memory.
   */
  ring(address: number, length: number, align: number): LentBytes {
    for (const { region, memory } of this.#regions) {
      const offset = region.offset + address - region.userAddress;
      if (address < region.userAddress || offset + length > memory.byteLength) continue;
      if (offset % align === 0) return lentOf(memory, offset, length);
    }
    throw new FrontEndError(
      `a ring must lie within memory, aligned to ${align} bytes: ` +
        `current value is ${length} bytes at ${address}`,
    );
  }

  /** Keeps it mapped; `drop()` must follow. */
  hold(): void {
    this.#holders++;
  }

  /** Lets go; who made it does so to close it. The last one unmaps it. */
  drop(): void {
    if (--this.#holders > 0) return;
    for (const { memory } of this.#regions) memory.unmap();
  }

  #find(address: number, length: number): Mapped | undefined {
    if (this.#last.has(address - this.#last.region.guestAddress, length)) return this.#last;
    for (const mapped of this.#regions) {
      if (mapped.has(address - mapped.region.guestAddress, length)) return this.#last = mapped;
    }
    return undefined;
  }
}

function lentOf(memory: MappedRegion, offset: number, length: number): LentBytes {
  const bytes = memory.lend(offset, length);
  return { bytes, release: () => memory.loans > 0 && memory.release(bytes) };
}

function mapped(region: Region, fd: number): Mapped {
  // A device or a socket is mapped by rules of its own: a touch of it may end the process.
  if ((sealsOf(fd) & F_SEAL_SHRINK) === 0) {
    throw new FrontEndError("memory must be a memfd with F_SEAL_SHRINK");
  }
  try {
    return new Mapped(region, fd);
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    throw new FrontEndError(error.message, { cause: error });
  }
}

function overlap(a: Region, b: Region): boolean {
  return a.guestAddress < b.guestAddress + b.size && b.guestAddress < a.guestAddress + a.size;
}
