/**
 * What a payload for a guest is until it is sent: in its buffers already, or not yet.
 *
 * @module
 */
import type { Chain } from "../virtio/chain.ts";
import type { Payload } from "../virtio/packet.ts";
import { PrivatePayload } from "../virtio/payload.ts";

/** A buffer of the guest with a part of a payload in it, which lacks its header. */
export interface Part {
  readonly chain: Chain;
  readonly length: number;
}

/**
 * A payload that goes behind the last one, which the guest has not seen yet. Its bytes are the
 * sender's, good until it is sent.
 */
export class AddedPayload implements Payload {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  append(): boolean {
    return false;
  }

  revoke(): void {}

  free(): void {}
}

/** A payload that lies in buffers of the guest already. */
export class PlacedPayload extends AddedPayload {
  readonly parts: readonly Part[];
  readonly #free: (parts: readonly Part[]) => void;

  constructor(bytes: Uint8Array, parts: readonly Part[], free: (parts: readonly Part[]) => void) {
    super(bytes);
    this.parts = parts;
    this.#free = free;
  }

  override free(): void {
    this.#free(this.parts);
  }
}

/** A copy of a payload that does not lie in buffers of the guest yet. */
export class HeldPayload extends PrivatePayload {
  readonly #freed: () => void;

  constructor(data: Uint8Array, freed: () => void) {
    super(data);
    this.#freed = freed;
  }

  override free(): void {
    super.free();
    this.#freed();
  }
}
