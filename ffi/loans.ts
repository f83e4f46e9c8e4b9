/**
 * Who has buffers over memory that is about to go, and their end.
 *
 * @module
 */

/** Where a lent buffer lies, in bytes. */
interface Loan {
  readonly offset: number;
  readonly length: number;
}

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

/** Detaches `buffer`; `false` where it no longer has the memory, or does not let go of it. */
function detach(buffer: ArrayBuffer): boolean {
  if (buffer.detached) return false;
  try {
    buffer.transfer(0);
  } catch {
    return false;
  }
  return buffer.detached;
}

/** The buffers that a region has lent and not taken back. */
export class Loans {
  readonly #loans: Map<ArrayBufferLike, Loan> = new Map();

  /** How many there are. */
  get size(): number {
    return this.#loans.size;
  }

  /** Notes that `buffer` has the `length` bytes from `offset` on. */
  add(buffer: ArrayBuffer, offset: number, length: number): void {
    this.#loans.set(buffer, { offset, length });
  }

  /** Whether `buffer` is on loan. */
  has(buffer: ArrayBufferLike): boolean {
    return this.#loans.has(buffer);
  }

  /** Detaches `buffer`, which is on loan; 1 where it was transferred away, else 0. */
  take(buffer: ArrayBufferLike): number {
    this.#loans.delete(buffer);
    return detach(buffer as ArrayBuffer) ? 0 : 1;
  }

  /** Detaches all that have bytes between `start` and `end`; how many were transferred away. */
  takeBetween(start: number, end: number): number {
    let stolen = 0;
    for (const [buffer, { offset, length }] of this.#loans) {
      if (offset < end && offset + length > start) stolen += this.take(buffer);
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
