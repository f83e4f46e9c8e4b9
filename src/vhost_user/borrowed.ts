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

/** A chain with several payloads; it goes back to the guest with the last of them. */
export class HeldChain {
  readonly chain: Chain;
  readonly ram: GuestRam;
  readonly #giveBack: (held: HeldChain) => void;
  #payloads: number;

  /** Holds `ram`. `giveBack` is called once. */
  constructor(
    chain: Chain,
    payloads: number,
    ram: GuestRam,
    giveBack: (held: HeldChain) => void,
  ) {
    ram.hold();
    this.chain = chain;
    this.ram = ram;
    this.#payloads = payloads;
    this.#giveBack = giveBack;
  }

  /** One of its payloads is done with. */
  drop(): void {
    if (--this.#payloads > 0) return;
    this.#giveBack(this);
    this.ram.drop();
  }
}

/** One payload of a chain, or a part of it: nothing is copied. */
export class BorrowedPayload implements Payload {
  readonly bytes: Uint8Array;
  readonly #held: HeldChain;
  readonly #address: number;
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
    const lent = this.#held.ram.lend(this.#address + start, length);
    this.#lent.push(lent);
    return lent.bytes;
  }

  revoke(): void {
    for (const lent of this.#lent.splice(0)) lent.release();
  }

  free(): void {
    this.revoke();
    this.#held.drop();
  }
}
