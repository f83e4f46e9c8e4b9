/**
 * A buffer to copy into that lends what it holds.
 *
 * @module
 */

/** Made when first asked for; used again after each loan, under another `ArrayBuffer`. */
export class CopyBuffer {
  #size: number;
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  #lent = false;

  /** Of `byteLength` bytes. */
  constructor(byteLength: number) {
    this.#size = byteLength;
  }

  /** How many bytes there is room for; assigning forgets what is there. */
  get byteLength(): number {
    return this.#size;
  }
  set byteLength(size: number) {
    this.#size = size;
    this.#bytes = undefined;
  }

  /** Where to copy to. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes ??= new Uint8Array(this.#size);
  }

  /** Lends `length` bytes from `offset` on. */
  lend(offset: number, length: number): Uint8Array {
    this.#lent = true;
    return this.bytes.subarray(offset, offset + length);
  }

  /** Kills what was lent. */
  reclaim(): void {
    if (!this.#lent || this.#bytes === undefined) return;
    this.#lent = false;
    const { buffer } = this.#bytes;
    // The user may have transferred it away, to a Worker for example.
    this.#bytes = buffer.detached ? undefined : new Uint8Array(buffer.transfer());
  }

  /** Gives the memory back. */
  free(): void {
    this.#bytes = undefined;
  }
}
