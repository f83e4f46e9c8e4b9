/**
 * What waits for buffers of a guest.
 *
 * @module
 */
import { USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { Fifo } from "../virtio/fifo.ts";
import type { Packet } from "../virtio/packet.ts";

/** A packet that waits for buffers, and how much of its payload the guest has. */
export interface Waiting {
  readonly packet: Packet;
  offset: number;
}

/** What a payload of `length` bytes takes while it is held: a page at least. */
export function memoryOf(length: number): number {
  return Math.max(USR_PAGE_SIZE, length);
}

/** Packets of other guests. */
export class Forwarded {
  readonly #packets: Fifo<Waiting> = new Fifo();
  /** Bytes of memory that they take, by the CID of who has sent them. */
  readonly #memory: Map<number, number> = new Map();

  /** How many there are. */
  get length(): number {
    return this.#packets.length;
  }

  /** What is next; `undefined` for nothing. */
  get first(): Waiting | undefined {
    return this.#packets.first;
  }

  /** Takes `packet` over: `false` where over `limit` bytes of memory of its guest would wait. */
  push(packet: Packet, limit: number): boolean {
    const memory = (this.#memory.get(packet.srcCid) ?? 0) + memoryOf(packet.len);
    if (memory > limit) return false;
    this.#memory.set(packet.srcCid, memory);
    this.#packets.push({ packet, offset: 0 });
    return true;
  }

  /** The first has left. There must be one. */
  drop(): void {
    const { srcCid, len } = this.first!.packet;
    const left = this.#memory.get(srcCid)! - memoryOf(len);
    if (left > 0) this.#memory.set(srcCid, left);
    else this.#memory.delete(srcCid);
    this.#packets.drop();
  }

  /** Takes all of them. */
  clear(): Waiting[] {
    this.#memory.clear();
    return this.#packets.clear();
  }
}
