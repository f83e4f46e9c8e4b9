/**
 * Receive by mapping, as RFC v3 has it: `SO_VM_SOCKETS_MAP_RX`, page 0, `madvise()`.
 *
 * @module
 */
import { POLL_VALUE_CLOSED, UsrHdrPage } from "../../ffi/abi/virtio_vsock_usr.ts";
import type { RxMapping } from "../socket.ts";
import { type Lender, LentBatch } from "./lent_batch.ts";
import type { Source } from "./source.ts";
import { UsrHeaders } from "./usr_hdr.ts";

/** Batches are the pages that the packets arrived in. Owns the mapping. */
export class MappedSource implements Source, Lender {
  readonly mapped = true;
  readonly spins: boolean;
  readonly volatile: boolean;
  readonly #mapping: RxMapping;
  readonly #page: UsrHdrPage;
  readonly #headers: UsrHeaders = new UsrHeaders();
  readonly #flagMask: number;
  #broken: unknown;

  /** `flagMask`: the header flags that mean something on this type of socket. */
  constructor(mapping: RxMapping, flagMask: number) {
    this.spins = mapping.spins;
    this.volatile = mapping.volatile;
    this.#mapping = mapping;
    this.#page = new UsrHdrPage(mapping.page0);
    this.#flagMask = flagMask;
  }

  readable(): boolean {
    return this.#mapping.readable();
  }

  dequeue(): LentBatch | null | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    // Looked at before the call: what is queued after it came before the close.
    const gone = this.#mapping.page0.length === 0; // of which the call tells
    const closed = !gone && this.#page.pollValue === POLL_VALUE_CLOSED;
    this.#mapping.mapRx();
    try {
      this.#headers.read(this.#page, this.#mapping.dataPages, this.#flagMask);
    } catch (error) {
      this.#broken = error;
      this.#mapping.advise();
      throw error;
    }
    if (this.#headers.count === 0) return closed ? null : undefined;
    return new LentBatch(this.#headers, this);
  }

  lend(page: number, length: number): Uint8Array {
    return this.#mapping.lend(page, length);
  }

  reclaim(): void {
    this.#mapping.advise();
  }

  close(): void {
    this.#mapping.unmap();
  }
}
