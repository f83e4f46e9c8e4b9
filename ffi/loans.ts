/**
 * Who has buffers over memory that is about to go, and their end.
 *
 * @module
 */
import { library } from "./select.ts";

/** Where a lent buffer lies, in bytes. */
interface Loan {
  readonly address: number;
  readonly length: number;
}

/** Buffers over memory that was taken back, which nobody else has: at most 2^10 are kept. */
const SPARE_BITS = 10;

/** A lent buffer was transferred away, so it could not be detached; its memory stays for ever. */
export class StolenViewError extends Error {
  /** Always `"StolenViewError"`. */
  override readonly name: string = "StolenViewError";
  /** Bytes of address space that stay reserved until the process ends. */
  readonly reserved: number;
  /** `stolen` is how many buffers are no longer where they were lent. */
  constructor(stolen: number, reserved: number) {
    super(
      `Cannot take memory back: must find every buffer where it was lent: ` +
        `current value is ${stolen} transferred away, ${reserved} bytes stay reserved`,
    );
    this.reserved = reserved;
  }
}

/**
 * Whether `transfer()` to the same length moves a buffer's memory. The language lets it copy as
 * well; no engine does, and each is looked at once.
 */
let moves: boolean | undefined;

/** The language's own: whoever has a buffer can give it members of these names that lie. */
const { transfer } = ArrayBuffer.prototype;
const isDetached = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, "detached")?.get;

/**
 * Detaches `buffer`: what has its memory then, or an empty buffer; `undefined` where it no longer
 * has the memory, or does not let go of it.
 */
function detach(buffer: ArrayBuffer, { address, length }: Loan): ArrayBuffer | undefined {
  try {
    const next = transfer.call(buffer, moves === false ? 0 : length);
    if (!isDetached!.call(buffer)) return undefined;
    if (moves !== undefined || length === 0) return next;
    moves = library().pointerOf(new Uint8Array(next)) === address;
    return new ArrayBuffer(0); // whatever looking at it has done to the other one
  } catch {
    return undefined;
  }
}

/** Where the spare at `address` is kept: multiples of a page spread over all places. */
function placeOf(address: number): number {
  return Math.imul(address / 64, 0x9e37_79b1) >>> (32 - SPARE_BITS);
}

/** The buffers that a region has lent and not taken back. */
export class Loans {
  readonly #loans: Map<ArrayBufferLike, Loan> = new Map();
  /** Each where its address says, unless another one has come there since. */
  readonly #spares: (ArrayBuffer | undefined)[] = [];
  readonly #spareAddresses: Float64Array = new Float64Array(1 << SPARE_BITS);

  /** How many there are. */
  get size(): number {
    return this.#loans.size;
  }

  /** Notes that `buffer` has the `length` bytes at `address`. */
  add(buffer: ArrayBuffer, address: number, length: number): void {
    this.#loans.set(buffer, { address, length });
  }

  /**
   * A buffer over just these bytes, where one was taken back that had the same: that costs less
   * than to make one. It is the caller's from now on, and not on loan yet.
   */
  reuse(address: number, length: number): ArrayBuffer | undefined {
    const place = placeOf(address);
    if (this.#spareAddresses[place] !== address) return undefined;
    const spare = this.#spares[place];
    if (spare?.byteLength !== length) return undefined;
    this.#spares[place] = undefined;
    return spare;
  }

  /** Whether `buffer` is on loan. */
  has(buffer: ArrayBufferLike): boolean {
    return this.#loans.has(buffer);
  }

  /** Detaches `buffer`, which is on loan; 1 where it was transferred away, else 0. */
  take(buffer: ArrayBufferLike): number {
    const loan = this.#loans.get(buffer)!;
    this.#loans.delete(buffer);
    const next = detach(buffer as ArrayBuffer, loan);
    if (next === undefined) return 1;
    if (next.byteLength > 0) this.#keep(loan.address, next);
    return 0;
  }

  /** Keeps `spare`; the one in its place is detached now, not when the collector comes to it. */
  #keep(address: number, spare: ArrayBuffer): void {
    const place = placeOf(address);
    this.#spares[place]?.transfer(0);
    this.#spares[place] = spare;
    this.#spareAddresses[place] = address;
  }

  /** Forgets the memory that was taken back, which is about to go. */
  forget(): void {
    for (const spare of this.#spares.splice(0)) spare?.transfer(0);
  }

  /** As `takeAll()`, of those that have bytes between the addresses `start` and `end`. */
  takeBetween(start: number, end: number): number {
    let stolen = 0;
    for (const [buffer, { address, length }] of this.#loans) {
      if (address < end && address + length > start) stolen += this.take(buffer);
    }
    return stolen;
  }

  /** Detaches all; how many were transferred away. */
  takeAll(): number {
    let stolen = 0;
    for (const buffer of this.#loans.keys()) stolen += this.take(buffer);
    return stolen;
  }
}
