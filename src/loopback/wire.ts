/**
 * The carrier inside one event loop: packets are delivered in order, in the next microtask.
 *
 * @module
 */
import type { Carrier, Destination } from "../virtio/carrier.ts";
import type { Packet, Payload } from "../virtio/packet.ts";
import { localPayload } from "../virtio/payload.ts";

/** What a wire delivers to. */
export interface WireEnd {
  /** Takes a packet that has arrived. */
  deliver(packet: Packet): void;
  /** Whether the socket that such a packet is for maps what it receives. */
  maps(srcPort: number, dstPort: number): boolean;
}

/** Slots that an idle queue keeps: to empty an array is to allocate it anew. */
const KEPT_SLOTS = 1_024;

/** First in, first out. */
export class Wire implements Carrier {
  readonly #end: WireEnd;
  /** Packets from slot 0 on; slots from `#count` on are empty. */
  #queue: (Packet | undefined)[] = [];
  #count = 0;
  #scheduled = false;

  constructor(end: WireEnd) {
    this.#end = end;
  }

  allocate(data: Uint8Array, { remote, local }: Destination): Payload {
    return localPayload(data, this.#end.maps(local.port, remote.port));
  }

  send(packet: Packet): void {
    this.#queue[this.#count++] = packet;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#pump);
  }

  /** Delivers what is queued, and what that leads to. */
  readonly #pump = (): void => {
    let taken = 0;
    try {
      while (taken < this.#count) {
        const packet = this.#queue[taken]!;
        this.#queue[taken++] = undefined;
        if (packet.owner !== undefined) packet.owner.bytesUnsent -= packet.len;
        this.#end.deliver(packet);
      }
    } finally {
      this.#scheduled = false;
      this.#forget(taken);
      if (this.#count > 0) this.#schedule();
    }
  };

  #forget(taken: number): void {
    if (taken < this.#count || taken > KEPT_SLOTS) {
      this.#queue = this.#queue.slice(taken, this.#count);
    }
    this.#count -= taken;
  }
}
