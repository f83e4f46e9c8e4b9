/**
 * The carrier inside one event loop that misbehaves on purpose, the same way for the same seed:
 * connections overtake each other, packets are late, peers refuse, starve, reset or fall silent.
 *
 * @module
 */
import { VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RST } from "../../ffi/abi/virtio_vsock.ts";
import type { Carrier, Destination } from "../virtio/carrier.ts";
import { type Ends, type Packet, type Payload, resetOf, reversed } from "../virtio/packet.ts";
import { localPayload } from "../virtio/payload.ts";
import { immediate } from "../runtime/builtins.ts";
import { type Clock, realClock } from "../stack/clock.ts";
import type { Turns } from "../wait/turns.ts";
import type { WireEnd } from "./wire.ts";

/** What goes wrong on a loopback. Byte counts are payload, per connection, both ways together. */
export interface LoopbackFaults {
  /** Probability, 0 to 1, that a connection request is answered by RST. @default {0} */
  readonly refuse?: number | undefined;
  /** A connection is reset once it has carried this many bytes. @default {Infinity} */
  readonly resetAfterBytes?: number | undefined;
  /** A connection loses every packet once it has carried this many bytes. @default {Infinity} */
  readonly dropAfterBytes?: number | undefined;
  /** What each end believes the other's buffer to be, at most, in bytes. @default {Infinity} */
  readonly creditLimit?: number | undefined;
  /** Probability, 0 to 1, that a STREAM recv gives only a part of what it could. @default {0} */
  readonly shortReads?: number | undefined;
  /** Probability, 0 to 1, that a STREAM send takes only a part of what it could. @default {0} */
  readonly shortWrites?: number | undefined;
}

/** How a {@linkcode ChaosWire} chooses. */
export interface ChaosOptions {
  readonly random: () => number;
  readonly clock: Clock;
  /** The most that a packet is late, in milliseconds. */
  readonly delayMs: number;
  readonly faults: LoopbackFaults;
  /** Whether the order between connections is drawn, or first in, first out. */
  readonly shuffle: boolean;
  /** Those of the sockets at its ends. */
  readonly turns: Turns;
}

interface Flow {
  readonly key: string;
  readonly packets: { readonly packet: Packet; readonly at: number }[];
  /** No packet of a flow overtakes another. */
  last: number;
}

/** What a connection has carried: known from its first packet to the RST that ends it. */
interface Carried {
  bytes: number;
  /** Which end has sent an RST that was lost: the connection is over once the other has too. */
  resetBy?: string;
}

/** Turns enough to read 128 KiB byte by byte. Who is not done then may wait for the packet. */
const HELD_MAX = 1_024;

const UNCOUNTED: Carried = { bytes: 0 };

/** Each direction of each connection is a flow; the next one to deliver is drawn. */
export class ChaosWire implements Carrier {
  readonly #end: WireEnd;
  readonly #options: ChaosOptions;
  readonly #flows = new Map<string, Flow>();
  readonly #carried = new Map<string, Carried>();
  readonly #realTime: boolean;
  /**
   * The time that delays count from. While packets are under way the real clock has no say in it,
   * only a delivery moves it on: which packet overtakes which is drawn, and not a matter of how
   * fast this machine is.
   */
  #now = 0;
  #scheduled = false;
  /** Turns that the next packet has waited for calls that were not done. */
  #held = 0;
  #armed = false;

  constructor(end: WireEnd, options: ChaosOptions) {
    this.#end = end;
    this.#options = options;
    this.#realTime = options.delayMs > 0 && options.clock === realClock;
  }

  /** Connections whose bytes it counts. */
  get counted(): number {
    return this.#carried.size;
  }

  allocate(data: Uint8Array, { remote, local }: Destination): Payload {
    return localPayload(data, this.#end.maps(local.port, remote.port));
  }

  send(packet: Packet): void {
    const { clock, random, delayMs } = this.#options;
    const key = flowKey(packet);
    const idle = this.#flows.size === 0;
    if (idle || clock !== realClock) this.#now = Math.max(this.#now, clock.now());
    let flow = this.#flows.get(key);
    if (flow === undefined) this.#flows.set(key, flow = { key, packets: [], last: 0 });
    flow.last = Math.max(flow.last, this.#now + (delayMs > 0 ? random() * delayMs : 0));
    flow.packets.push({ packet, at: flow.last });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // In real time the next packet comes in another turn: what the last one caused is done then.
    (this.#realTime ? immediate : queueMicrotask)(this.#step);
  }

  /** Delivers one packet, then lets others run. */
  readonly #step = (): void => {
    const { turns } = this.#options;
    if (this.#realTime && turns.awaited && this.#held++ < HELD_MAX) {
      // Not done yet; a turn of theirs may take several of the event loop.
      return void turns.next().then(() => immediate(this.#step));
    }
    this.#scheduled = false;
    this.#held = 0;
    if (this.#flows.size === 0) return; // a timer that was set for what has gone meanwhile
    const { key, packets } = this.#next();
    const { packet, at } = packets[0]!;
    const early = at - this.#options.clock.now();
    if (early > 0) return this.#arm(early);
    this.#now = Math.max(this.#now, at);
    packets.shift();
    if (packets.length === 0) this.#flows.delete(key);
    if (packet.owner !== undefined) packet.owner.bytesUnsent -= packet.len;
    try {
      this.#pass(packet);
    } finally {
      if (this.#flows.size > 0) this.#schedule();
    }
  };

  /** The flow that comes next: the earliest, or where none is late the one that is drawn. */
  #next(): Flow {
    const { random, shuffle, delayMs } = this.#options;
    const flows = this.#flows.values(); // as an array, thousands of them take long
    let next = flows.next().value!;
    if (delayMs > 0) {
      for (const flow of flows) if (flow.packets[0]!.at < next.packets[0]!.at) next = flow;
      return next;
    }
    const before = shuffle ? Math.floor(random() * this.#flows.size) : 0;
    for (let i = 0; i < before; i++) next = flows.next().value!;
    return next;
  }

  #arm(ms: number): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#options.clock.after(ms, () => {
      this.#armed = false;
      this.#schedule();
    });
  }

  /** Delivers `packet`, unless a fault has something else in mind. */
  #pass(packet: Packet): void {
    const { random, faults } = this.#options;
    const { refuse = 0, creditLimit = Infinity, dropAfterBytes = Infinity } = faults;
    const carried = this.#count(packet);
    if (carried.bytes >= dropAfterBytes) {
      packet.payload?.free();
      return;
    }
    if (packet.op === VIRTIO_VSOCK_OP_REQUEST && refuse > 0 && random() < refuse) {
      this.#carried.delete(pairKey(packet));
      this.#end.deliver(resetOf(reversed(packet)));
      return;
    }
    this.#end.deliver({ ...packet, bufAlloc: Math.min(packet.bufAlloc, creditLimit) });
    if (carried.bytes >= (faults.resetAfterBytes ?? Infinity)) {
      this.#reset(packet);
    }
  }

  /** Ends the connection of `packet` at both ends; what is under way is lost. */
  #reset(packet: Packet): void {
    const back = reversed(packet);
    this.#end.deliver(resetOf(back));
    this.#end.deliver(resetOf(packet));
    for (const key of [flowKey(packet), flowKey(back)]) {
      for (const { packet: lost } of this.#flows.get(key)?.packets ?? []) {
        if (lost.owner !== undefined) lost.owner.bytesUnsent -= lost.len;
        lost.payload?.free();
      }
      this.#flows.delete(key);
    }
    this.#carried.delete(pairKey(packet));
  }

  /** Counts `packet`: what its connection has carried, with it. */
  #count(packet: Packet): Carried {
    const { resetAfterBytes = Infinity, dropAfterBytes = Infinity } = this.#options.faults;
    const counts = dropAfterBytes > 0 && Math.min(resetAfterBytes, dropAfterBytes) < Infinity;
    if (!counts) return UNCOUNTED;
    const key = pairKey(packet);
    let carried = this.#carried.get(key);
    if (carried === undefined || packet.op === VIRTIO_VSOCK_OP_REQUEST) {
      this.#carried.set(key, carried = { bytes: 0 });
    }
    carried.bytes += packet.len;
    if (packet.op === VIRTIO_VSOCK_OP_RST) {
      const by = `${packet.srcCid}:${packet.srcPort}`;
      const arrives = carried.bytes < dropAfterBytes;
      // After one that arrives neither end knows the connection, nor after one of each end.
      if (arrives || by !== (carried.resetBy ??= by)) this.#carried.delete(key);
    }
    return carried;
  }
}

function flowKey({ srcCid, srcPort, dstCid, dstPort }: Ends): string {
  return `${srcCid}:${srcPort}>${dstCid}:${dstPort}`;
}

/** The same for both directions of a connection. */
function pairKey({ srcCid, srcPort, dstCid, dstPort }: Ends): string {
  return [`${srcCid}:${srcPort}`, `${dstCid}:${dstPort}`].sort().join("-");
}
