/**
 * What a guest sends: packets out of its transmit ring.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SEQ_EOR,
} from "../../ffi/abi/virtio_vsock.ts";
import { USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { type Chain, refuse } from "../virtio/chain.ts";
import { decodeHeader, type Header, HEADER_SIZE, type Packet } from "../virtio/packet.ts";
import { localPayload } from "../virtio/payload.ts";
import type { Virtqueue } from "../virtio/virtqueue.ts";
import { HeldChain } from "./borrowed.ts";
import type { GuestRam } from "./guest_ram.ts";
import { gather, requireBytes, spansOf } from "./spans.ts";
import { workOf } from "./work.ts";

/** Payloads below that, or in pieces below that on average, are copied: it costs less. */
const BORROW_MIN = 2 * USR_PAGE_SIZE;
const SEQ_END = VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR;

/** How much has gone by, of one guest. */
export interface GuestCounters {
  /** Packets from the guest. */
  rxPackets: number;
  /** Payload bytes of these. */
  rxBytes: number;
  /** Those that were not copied on their way to a socket. */
  rxBorrowedBytes: number;
  /** Packets to the guest. */
  txPackets: number;
  /** Payload bytes of these. */
  txBytes: number;
  /** Notifications from the guest. */
  kicks: number;
  /** Notifications to the guest. */
  calls: number;
}

/** Those of a guest that has done nothing yet. */
export function noCounters(): GuestCounters {
  return {
    rxPackets: 0,
    rxBytes: 0,
    rxBorrowedBytes: 0,
    txPackets: 0,
    txBytes: 0,
    kicks: 0,
    calls: 0,
  };
}

/** What a reader gives its packets to. */
export interface TxEnd {
  /** The guest's memory now. */
  readonly ram: GuestRam;
  /** Whether the packet may be from this guest. */
  accepts(header: Header): boolean;
  /** Whether the packet goes to a socket that maps what it receives. */
  maps(header: Header): boolean;
  /** Takes the packet. */
  deliver(packet: Packet): void;
  /** A chain was given back outside of `take()`. */
  gaveBack(): void;
}

/** Reads one transmit ring, from its start to its stop. */
export class TxReader {
  readonly queue: Virtqueue;
  readonly #end: TxEnd;
  readonly #counters: GuestCounters;
  readonly #header = new Uint8Array(HEADER_SIZE);
  readonly #view = new DataView(this.#header.buffer);
  /** By head. Not a Set: of one that changes all the time, what is gone lives on for long. */
  readonly #held: (HeldChain | undefined)[];
  readonly #budget: number;
  readonly #slots: (chain: Chain) => number;
  #descriptors = 0;

  /** `indirect`: a chain takes one descriptor of the ring, however long it is. */
  constructor(queue: Virtqueue, indirect: boolean, counters: GuestCounters, end: TxEnd) {
    this.queue = queue;
    this.#counters = counters;
    this.#end = end;
    this.#budget = queue.size / 2; // the rest is for everybody else
    this.#held = new Array(queue.size).fill(undefined);
    this.#slots = indirect ? () => 1 : ({ segments }) => segments.length;
  }

  /**
   * Takes a packet: its work, 0 where there was none.
   *
   * @throws {VirtqueueError} If the guest has broken the ring.
   */
  take(): number {
    const chain = this.queue.pop();
    if (chain === undefined) return 0;
    this.#counters.rxPackets++;
    this.#take(chain);
    return workOf(chain);
  }

  /**
   * Gives all chains back that are held, to stop: whether the guest has to be called for it. Of
   * what is not read yet there are copies then; what is lent shows whatever the guest does next.
   */
  stop(): boolean {
    for (const held of this.#held) held?.own();
    for (const held of this.#held) if (held !== undefined) this.queue.push(held.chain.head, 0);
    this.#held.fill(undefined);
    return this.queue.publish();
  }

  #take(chain: Chain): void {
    if (chain.writable > 0) refuse("a buffer to send", "readable", "writable");
    const header = this.#readHeader(chain);
    if (header === undefined) {
      this.queue.push(chain.head, 0); // as vhost does: what makes no sense is dropped
      return;
    }
    this.#counters.rxBytes += header.len;
    if (header.len === 0) {
      this.queue.push(chain.head, 0);
      this.#end.deliver(header);
    } else {
      const maps = this.#end.maps(header);
      if (!maps || !this.#lend(chain, header)) this.#copy(chain, header, maps);
    }
  }

  #readHeader(chain: Chain): Header | undefined {
    if (chain.readable < HEADER_SIZE) return undefined;
    gather(this.#end.ram, chain, 0, this.#header);
    const header = decodeHeader(this.#view);
    if (header === undefined || !this.#end.accepts(header)) return undefined;
    if (header.op !== VIRTIO_VSOCK_OP_RW) return header.len === 0 ? header : undefined;
    const room = Math.min(chain.readable - HEADER_SIZE, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE);
    return header.len <= room ? header : undefined;
  }

  #copy(chain: Chain, header: Header, maps: boolean): void {
    const payload = localPayload(header.len, maps);
    gather(this.#end.ram, chain, HEADER_SIZE, payload.bytes);
    this.queue.push(chain.head, 0);
    this.#end.deliver({ ...header, payload });
  }

  /** Delivers the payload where it is, as one packet for each of its spans: whether it can be. */
  #lend(chain: Chain, header: Header): boolean {
    const { ram } = this.#end;
    const spans = spansOf(chain, HEADER_SIZE, header.len, this.#joins);
    const slots = this.#slots(chain);
    if (header.len < BORROW_MIN * spans.length || this.#descriptors + slots > this.#budget) {
      return false;
    }
    const parts = spans.map(({ address, length }) => requireBytes(ram, address, length));
    const held = new HeldChain(chain, ram, this.#giveBack);
    this.#held[chain.head] = held;
    this.#descriptors += slots;
    this.#counters.rxBorrowedBytes += header.len;
    const payloads = held.lend(spans, parts);
    for (let i = 0; i < payloads.length; i++) {
      const flags = i === payloads.length - 1 ? header.flags : header.flags & ~SEQ_END;
      this.#end.deliver({ ...header, len: spans[i]!.length, flags, payload: payloads[i]! });
    }
    return true;
  }

  readonly #joins = (address: number, length: number): boolean =>
    this.#end.ram.has(address, length);

  readonly #giveBack = (held: HeldChain): void => {
    const { chain } = held;
    if (this.#held[chain.head] !== held) return; // the ring was stopped since
    this.#held[chain.head] = undefined;
    this.#descriptors -= this.#slots(chain);
    this.queue.push(chain.head, 0);
    this.#end.gaveBack();
  };
}
