/**
 * Payloads that stay where the guest put them, until a user has done with them.
 *
 * @module
 */
import type { Chain } from "../virtio/chain.ts";
import type { Payload } from "../virtio/packet.ts";
import type { GuestRam, LentBytes } from "./guest_ram.ts";

/** A run of bytes in guest memory. */
export interface Span {
  readonly address: number;
  readonly length: number;
}

/** A chain with several payloads, which goes back to the guest with the last of them. */
export class HeldChain {
  readonly chain: Chain;
  readonly ram: GuestRam;
  readonly #giveBack: (held: HeldChain) => void;
  #payloads: readonly BorrowedPayload[] = [];
  #holders = 0;

  /**
   * Holds `ram`, until all payloads that there will be are done with. `giveBack` is called once.
   */
  constructor(chain: Chain, ram: GuestRam, giveBack: (held: HeldChain) => void) {
    ram.hold();
    this.chain = chain;
    this.ram = ram;
    this.#giveBack = giveBack;
  }

  /** The payloads in it, of `spans`, whose bytes are `parts`: each calls `drop()` once. */
  lend(spans: readonly Span[], parts: readonly Uint8Array[]): readonly BorrowedPayload[] {
    this.#holders = spans.length;
    return this.#payloads = spans.map((span, i) => new BorrowedPayload(this, span, parts[i]!));
  }

  /** One of its payloads is done with it. */
  drop(): void {
    if (--this.#holders > 0) return;
    this.#giveBack(this);
    this.ram.drop();
  }

  /** Copies what has not been read. */
  own(): void {
    for (const payload of this.#payloads) payload.own();
  }
}

/** One payload of a chain, or a part of it: nothing is copied before it is read. */
export class BorrowedPayload implements Payload {
  bytes: Uint8Array;
  readonly #address: number;
  /** `undefined` where the bytes are no longer there, nor any view of them. */
  #held: HeldChain | undefined;
  #owned = false;
  #lent: LentBytes[] = [];

  /** `bytes` are those of `span`. */
  constructor(held: HeldChain, { address }: Span, bytes: Uint8Array) {
    this.bytes = bytes;
    this.#held = held;
    this.#address = address;
  }

  append(): boolean {
    return false;
  }

  lend(start: number, length: number): Uint8Array {
    const lent = this.#owned
      ? lendCopy(this.bytes.slice(start, start + length))
      : this.#held!.ram.lend(this.#address + start, length);
    this.#lent.push(lent);
    return lent.bytes;
  }

  own(): void {
    if (this.#owned || this.#held === undefined) return;
    this.#owned = true;
    this.bytes = this.bytes.slice();
    if (this.#lent.length === 0) this.#letGo();
  }

  revoke(): void {
    for (const lent of this.#lent) lent.release();
    this.#lent = [];
    if (this.#owned) this.#letGo();
  }

  free(): void {
    this.revoke();
    this.#letGo();
  }

  #letGo(): void {
    this.#held?.drop();
    this.#held = undefined;
  }
}

function lendCopy(bytes: Uint8Array): LentBytes {
  return { bytes, release: () => void (bytes.buffer as ArrayBuffer).transfer(0) };
}
