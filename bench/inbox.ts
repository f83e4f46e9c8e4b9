/**
 * From data that is pushed to reads that are awaited, with as little in between as can be.
 *
 * @module
 */

/** What has arrived, or who waits for it. */
export class Inbox {
  #chunks: Uint8Array[] = [];
  #waiting: { readonly buffer: Uint8Array; readonly resolve: (n: number) => void } | undefined;

  /** `data` has arrived. It is copied unless nobody reads yet. */
  push(data: Uint8Array): void {
    const { buffer, resolve } = this.#waiting ?? {};
    if (buffer === undefined || resolve === undefined) {
      this.#chunks.push(data);
      return;
    }
    this.#waiting = undefined;
    resolve(this.#give(data, buffer));
  }

  /** The next bytes into `buffer`: how many. One read at a time. */
  read(buffer: Uint8Array): Promise<number> {
    const data = this.#chunks.shift();
    if (data !== undefined) return Promise.resolve(this.#give(data, buffer));
    return new Promise((resolve) => this.#waiting = { buffer, resolve });
  }

  #give(data: Uint8Array, buffer: Uint8Array): number {
    if (data.length <= buffer.length) {
      buffer.set(data);
      return data.length;
    }
    buffer.set(data.subarray(0, buffer.length));
    this.#chunks.unshift(data.subarray(buffer.length));
    return buffer.length;
  }
}
