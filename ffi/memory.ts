/**
 * Mapped memory that lends views and takes them back before the pages go.
 *
 * @module
 */
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from "./abi/mman.ts";
import { _SC_PAGESIZE } from "./abi/unistd.ts";
import { requireBytes, requireObject, requireSize } from "./arguments.ts";
import { sysconf } from "./file_calls.ts";
import { Loans, StolenViewError } from "./loans.ts";
import { requireUnshrinkable } from "./memfd.ts";
import { madvise, mmap, mremap, munmap } from "./mman_calls.ts";
import { library } from "./select.ts";

/** What a {@linkcode MappedRegion} maps, if not fresh memory of its own. */
export interface MappedRegionOptions {
  /**
   * A socket that can be mapped, or a memfd with `F_SEAL_SHRINK`, of ordinary pages, such as
   * `createMemfd()` makes. Stays the caller's, who may close it at once.
   */
  readonly fd?: number | undefined;
  /** Where in `fd` to start, in bytes; a multiple of the page size. @default {0} */
  readonly offset?: number | undefined;
  /**
   * `PROT_*`. A write into a view of memory without `PROT_WRITE`, and a touch of memory without
   * `PROT_READ`, end the process: no runtime has typed arrays that refuse.
   * @default {PROT_READ | PROT_WRITE}
   */
  readonly prot?: number | undefined;
  /**
   * What becomes of the region once a buffer was transferred away: `"retire"` puts empty pages in
   * its place, and throws. `"keep"` throws nothing and leaves it in use, but for `resize()`, a
   * TypeError then; its pages stay mapped until the process ends, so that whoever has the buffer
   * sees them.
   *
   * @default {"retire"}
   */
  readonly stolen?: "retire" | "keep" | undefined;
}

let page = 0;

/** Bytes of a page of this machine. */
export function pageSize(): number {
  return page ||= sysconf(_SC_PAGESIZE);
}

/** What all regions of this thread have lent. */
const lent: Set<Loans> = new Set();

/**
 * Whether `buffer` is on loan from a {@linkcode MappedRegion} of this thread: no engine gives such
 * memory to somebody else, and what the kernel was to send of it is what it sends, even after the
 * region is gone.
 */
export function isMapped(buffer: ArrayBufferLike): boolean {
  for (const loans of lent) if (loans.has(buffer)) return true;
  return false;
}

/** `length` rounded up to whole pages. */
function wholePages(length: number): number {
  return Math.ceil(length / pageSize()) * pageSize();
}

function requireRegionLength(length: number): void {
  requireSize("length", length);
  if (length === 0) throw new RangeError("Cannot map: must be 1 byte or more: current value is 0");
}

/**
 * Memory of mmap(2) that lends its bytes as typed arrays, and kills each of them before the pages
 * under it go: a late touch finds an array of no bytes or is a TypeError, never a signal.
 *
 * The owner calls `unmap()`, or has `using` do so. A region that is merely forgotten stays mapped:
 * nothing here is undone by the garbage collector, since a buffer that was transferred away may
 * live on where it cannot be seen.
 *
 * A buffer that was transferred away (`transfer()`, `structuredClone()` or `postMessage()` with
 * a transfer list) cannot be killed. The next call that has to take it back finds out, puts empty
 * pages in place of the whole region, keeps its addresses reserved for ever, and throws a
 * {@linkcode StolenViewError}; the region is then as after `unmap()`. With the option `stolen` it
 * can be kept in its place.
 *
 * Lent memory must not be handed to work that goes on in another thread (a file write, a digest)
 * past its release: that thread reads by address. Of a mapped socket, lend only what the kernel
 * said is there: a touch of any other page ends the process.
 *
 * @example Memory that is gone after its block
 * ```ts
 * import { MappedRegion } from "@vsockit/vsockit/ffi";
 *
 * let view: Uint8Array;
 * {
 *   using region = new MappedRegion(1 << 20);
 *   view = region.lend(4096, 100);
 *   view[0] = 7;
 * }
 * console.log(view.length); // 0
 * ```
 */
export class MappedRegion implements Disposable {
  readonly #loans: Loans = new Loans();
  readonly #grows: boolean;
  readonly #keeps: boolean;
  #stolen = false;
  #address: number;
  #length: number;

  /**
   * Maps `length` bytes: of `options.fd`, or fresh ones.
   *
   * @throws {RangeError} If `length` is 0 or no safe integer, or past the end of the memfd.
   * @throws {TypeError} If `fd` is a file that can become shorter, or one of huge pages.
   * @throws {SysError} What mmap(2) refuses: `EINVAL` for an offset within a page, `ENODEV` for a
   * file that cannot be mapped, `EPERM` or `EACCES` for a `prot` it does not allow, `ENOMEM`.
   * @throws {FfiUnavailableError} If this runtime may not look at memory by its address.
   */
  constructor(length: number, options: MappedRegionOptions = {}) {
    requireObject("options", options);
    const { fd, offset = 0, prot = PROT_READ | PROT_WRITE, stolen = "retire" } = options;
    requireRegionLength(length);
    if (fd !== undefined) requireUnshrinkable(fd, offset + length);
    const flags = fd === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    this.#grows = fd === undefined;
    this.#keeps = stolen === "keep";
    this.#address = mmap(0, wholePages(length), prot, flags, fd ?? -1, offset);
    this.#length = length;
    this.#requireLendable();
  }

  /** Where the region starts; 0 once it is unmapped, and another one after `resize()`. */
  get address(): number {
    return this.#address;
  }

  /** Bytes to lend from; 0 once it is unmapped. */
  get byteLength(): number {
    return this.#length;
  }

  /** How many views are on loan. */
  get loans(): number {
    return this.#loans.size;
  }

  /**
   * Lends `length` bytes from `offset` on: a view whose `buffer` is exactly these bytes. Loans may
   * overlap.
   *
   * @throws {RangeError} If they are not within the region.
   * @throws {TypeError} If the region is unmapped.
   */
  lend(offset: number, length: number): Uint8Array<ArrayBuffer> {
    this.#requireMapped("lend memory");
    this.#requireRange(offset, length);
    // One buffer per loan, because a buffer can only be detached as a whole. With its detaching it
    // costs 0.3 us of any length on Deno, 0.2 us on Node, and on Bun 0.3 us for a page and 1 us for
    // a MiB, which the collector is told about as if it were memory of its own. To copy a MiB takes
    // 70 us. What was taken back last is moved to the next loan of the same bytes, for somewhat
    // less. Bun makes no buffer of no bytes.
    const address = this.#address + offset;
    const buffer = length === 0
      ? new ArrayBuffer(0)
      : this.#loans.reuse(address, length) ?? library().bufferAt(address, length);
    if (this.#loans.size === 0) lent.add(this.#loans);
    this.#loans.add(buffer, address, length);
    return new Uint8Array(buffer);
  }

  /**
   * Kills one lent view, and every other one over its buffer. The pages stay.
   *
   * @throws {TypeError} If it is not on loan from here: already released, or never lent.
   * @throws {StolenViewError} If its buffer was transferred away.
   */
  release(view: Uint8Array): void {
    requireBytes("view", view);
    const { buffer } = view;
    if (!this.#loans.has(buffer)) {
      throw new TypeError(
        `Cannot release view: must be on loan from this region: ` +
          `current value is ${view.byteLength} bytes of something else`,
      );
    }
    this.#retireIf(this.#loans.take(buffer));
  }

  /**
   * Kills every lent view. The pages stay.
   *
   * @throws {StolenViewError} If a buffer was transferred away.
   */
  releaseAll(): void {
    this.#retireIf(this.#loans.takeAll());
  }

  /**
   * Kills every view that touches the pages from `offset` on, then has madvise(2) drop them:
   * `MADV_DONTNEED`. Private memory reads as zeros afterwards; a memfd keeps its bytes; of a socket
   * the kernel has its pages back.
   *
   * @throws {RangeError} If `offset` is not at the start of a page, or the end not in the region.
   * @throws {StolenViewError} If a buffer was transferred away.
   */
  discard(offset: number, length: number): void {
    this.#requireMapped("discard memory");
    this.#requireRange(offset, length);
    if (offset % pageSize() !== 0) {
      throw new RangeError(
        `Cannot discard memory: must start on a page of ${pageSize()} bytes: ` +
          `current value is ${offset}`,
      );
    }
    if (length === 0) return;
    const whole = wholePages(length);
    const address = this.#address + offset;
    this.#retireIf(this.#loans.takeBetween(address, address + whole));
    if (!this.#stolen) madvise(address, whole, MADV_DONTNEED);
  }

  /**
   * Kills every lent view, then makes the region `length` bytes long, with its bytes kept. It may
   * move. Only a region of fresh memory can grow, by zeros.
   *
   * @throws {RangeError} If `length` is 0 or no safe integer, or the region cannot grow.
   * @throws {StolenViewError} If a buffer was transferred away.
   * @throws {SysError} `ENOMEM`, or `EINVAL` past all addresses; only the views are gone then.
   */
  resize(length: number): void {
    this.#requireMapped("resize region");
    requireRegionLength(length);
    if (!this.#grows && length > this.#length) {
      throw new RangeError(
        `Cannot resize region: must be at most its ${this.#length} bytes: ` +
          `current value is ${length}`,
      );
    }
    this.releaseAll();
    if (this.#stolen) {
      throw new TypeError(
        "Cannot resize region: must have all its buffers: current value is one that lost some",
      );
    }
    this.#loans.forget();
    const [from, to] = [wholePages(this.#length), wholePages(length)];
    if (from !== to) this.#address = mremap(this.#address, from, to, MREMAP_MAYMOVE);
    this.#length = length;
  }

  /**
   * Kills every lent view, then gives the memory back by munmap(2). The second call does nothing.
   *
   * @throws {StolenViewError} If a buffer was transferred away.
   */
  unmap(): void {
    if (this.#address === 0) return;
    this.releaseAll();
    this.#loans.forget();
    if (!this.#stolen) munmap(this.#address, wholePages(this.#length));
    lent.delete(this.#loans);
    this.#address = 0;
    this.#length = 0;
  }

  /** `unmap()`, for `using`. */
  [Symbol.dispose](): void {
    this.unmap();
  }

  /**
   * Unless it keeps what is stolen, gives the region up if any buffer was `stolen`, with its
   * addresses still good for whoever has that buffer: fresh pages take the place of the old ones at
   * one stroke, so not even another thread sees a gap.
   */
  #retireIf(stolen: number): void {
    if (stolen === 0) return;
    if (this.#keeps) {
      this.#stolen = true;
      return;
    }
    const all = stolen + this.#loans.takeAll();
    this.#loans.forget();
    lent.delete(this.#loans);
    const [address, reserved] = [this.#address, wholePages(this.#length)];
    this.#address = 0;
    this.#length = 0;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    mmap(address, reserved, PROT_READ | PROT_WRITE, flags, -1, 0);
    throw new StolenViewError(all, reserved);
  }

  /** Deno that may open one library, and no more, has memory mapped and may not look at it. */
  #requireLendable(): void {
    try {
      this.lend(0, 1);
      this.releaseAll();
    } catch (error) {
      this.unmap();
      throw error;
    }
  }

  #requireMapped(what: string): void {
    if (this.#address !== 0) return;
    throw new TypeError(`Cannot ${what}: must be mapped: current value is an unmapped region`);
  }

  #requireRange(offset: number, length: number): void {
    requireSize("offset", offset);
    requireSize("length", length);
    if (offset + length <= this.#length) return;
    throw new RangeError(
      `Cannot use memory: must lie within the region's ${this.#length} bytes: ` +
        `current value is ${length} bytes at ${offset}`,
    );
  }
}
