/**
 * One guest as the device sees it: the way to it, and from it, while its driver runs.
 *
 * @module
 */
import { clearImmediate, setImmediate } from "node:timers";
import { VIRTIO_RING_F_INDIRECT_DESC } from "../../ffi/abi/virtio_ring.ts";
import { VIRTIO_VSOCK_F_SEQPACKET } from "../../ffi/abi/virtio_vsock.ts";
import type { Carrier, Destination } from "../virtio/carrier.ts";
import { VirtqueueError } from "../virtio/chain.ts";
import type { Virtqueue } from "../virtio/virtqueue.ts";
import type { Header, Packet, Payload } from "../virtio/packet.ts";
import type { VsockSock } from "../virtio/sock.ts";
import { RxWriter } from "./guest_rx.ts";
import { type GuestCounters, noCounters, type TxEnd, TxReader } from "./guest_tx.ts";
import type { GuestRam } from "./guest_ram.ts";
import { Nap } from "./nap.ts";
import type { Session } from "./session.ts";
import { WORK_OF_TURN } from "./work.ts";
import type { Vring } from "./vring.ts";

/** The rings of a guest's driver, by index. Its third, for events, is of use to a VMM alone. */
export const RX = 0;
export const TX = 1;
/** How many of them are used. */
export const RINGS = 2;
/** Payloads from so many bytes on are a part of something larger: more will follow. */
const BULK_BYTES = 32 * 1024;
/** The most chains that wait for each other before the guest kicks. */
const BURST_MAX = 8;

/** What a guest needs of its device. */
export interface GuestHost {
  /** Whether the packet goes to a socket that maps what it receives. */
  mapped(header: Header): boolean;
  /** How many such packets may wait for each other, without their sender running out of credit. */
  burst(header: Header): number;
  /** A packet has come from `guest`. */
  arrived(guest: Guest, packet: Packet): void;
  /** A packet of the host goes to a guest. */
  sent(packet: Packet): void;
  /** A guest has had its share of this turn of the event loop. */
  rests(): void;
  /** There is memory for payloads to `guest` again: see `Stack.tellRoom()`. */
  tellRoom(guest: Guest, bytes: number, least: number): boolean;
  /** The driver of `guest` has gone: its connections are over. Gives what resets them. */
  stopped(guest: Guest): readonly Header[];
  /** The driver of `guest` has started, or has gone. */
  changed(guest: Guest): void;
  /** The guest has broken a ring, and is not served until its driver starts anew. */
  fault(guest: Guest, error: Error): void;
}

/** What a driver has set up. */
interface Driver {
  readonly session: Session;
  readonly rx: RxWriter;
  readonly tx: TxReader;
}

/** One guest. */
export class Guest implements Carrier, TxEnd {
  readonly cid: number;
  readonly counters: GuestCounters = noCounters();
  readonly closing: Set<VsockSock> = new Set();
  epoch = 0;
  readonly #host: GuestHost;
  #driver: Driver | undefined;
  /** A ring that is of no use any more. */
  #broken: Virtqueue | undefined;
  /** What resets the connections of the driver before. */
  #resets: readonly Header[] = [];
  #pumping = false;
  /** Whether kicks are off: what has come is found by a look at the rings. */
  #awake = true;
  /** After how many chains the guest is to kick next. */
  #burst = 1;
  readonly #nap: Nap = new Nap(() => this.pump());
  /** Whether there may be something to show the guest, and whether a microtask is to do so. */
  #unshown = false;
  #scheduled = false;
  /** What goes on in the next turn of the event loop. */
  #rest: ReturnType<typeof setImmediate> | undefined;

  constructor(cid: number, host: GuestHost) {
    this.cid = cid;
    this.#host = host;
  }

  /** Whether its driver runs. */
  get up(): boolean {
    return this.#driver !== undefined;
  }

  get seqpacket(): boolean {
    return this.#driver?.session.has(VIRTIO_VSOCK_F_SEQPACKET) ?? false;
  }

  get ram(): GuestRam {
    return this.#driver!.session.ram!;
  }

  /** Whether packets may come without a kick: then look again after a nap. */
  get napping(): boolean {
    return this.#nap.on;
  }

  /** Packets of the host that wait for the guest to post buffers. */
  get waiting(): number {
    return this.#driver?.rx.waiting ?? 0;
  }

  /** The rings of `session` may have come or gone. */
  update(session: Session): void {
    const running = this.#driver?.session === session;
    if (!session.active) {
      if (running) this.stop();
    } else if (!running && session.rings[TX]!.queue !== this.#broken) {
      this.#start(session);
    }
  }

  #start(session: Session): void {
    const indirect = session.has(VIRTIO_RING_F_INDIRECT_DESC);
    this.#driver = {
      session,
      rx: new RxWriter(session.rings[RX]!.queue!, session),
      tx: new TxReader(session.rings[TX]!.queue!, indirect, this.counters, this),
    };
    this.#awake = true; // after a pause, its rings may still ask for a kick of much later
    this.#tellResets(session.rings[TX]!.queue!);
    this.#host.changed(this);
    this.pump();
  }

  /** Who goes on after a pause still believes in its connections; a new driver begins at 0. */
  #tellResets({ lastAvail }: Virtqueue): void {
    const resets = this.#resets;
    this.#resets = [];
    if (lastAvail === 0) return;
    for (const reset of resets) this.send(reset);
  }

  /** Ends all connections; what was borrowed is given back. */
  stop(): void {
    const driver = this.#driver;
    if (driver === undefined) return;
    this.#nap.stop();
    try {
      // A guest that was only paused goes on with what it is told of here.
      if (driver.rx.publish()) this.#call(driver.session.rings[RX]!);
      if (driver.tx.stop()) this.#call(driver.session.rings[TX]!);
    } finally {
      this.#driver = undefined;
      driver.rx.stop();
      this.#resets = this.#host.stopped(this);
      this.#host.changed(this);
    }
  }

  allocate(data: Uint8Array, to: Destination): Payload | undefined {
    return this.#guarded(({ rx }) => {
      const payload = rx.allocate(data, to);
      if (rx.spent) this.#later(); // at once: others may send before this is flushed
      return payload;
    });
  }

  send(packet: Packet): void {
    this.#host.sent(packet);
    if (this.#driver === undefined) return packet.payload?.free();
    this.#guarded(({ rx }) => {
      this.#count(packet);
      rx.send(packet);
    });
    this.#schedule();
  }

  /**
   * Takes a packet of another guest over, and sends it: `false` where more than `limit` bytes of
   * that guest would wait, or where no driver runs.
   */
  forward(packet: Packet, limit: number): boolean {
    if (!(this.#driver?.rx.forward(packet, limit) ?? false)) return false;
    this.#count(packet);
    this.#schedule();
    return true;
  }

  #count({ len }: Packet): void {
    this.counters.txPackets++;
    this.counters.txBytes += len;
  }

  /** The guest has kicked the device. Gives `resting`. */
  kicked(): boolean {
    this.counters.kicks++;
    this.#driver?.rx.shareRoom();
    this.pump();
    return this.resting;
  }

  /** Whether it has had its share of this turn of the event loop, and goes on in the next. */
  get resting(): boolean {
    return this.#rest !== undefined;
  }

  /** Goes on, in the next turn of the event loop or before. */
  readonly goOn = (): void => {
    clearImmediate(this.#rest);
    this.#rest = undefined;
    this.#driver?.rx.shareRoom();
    this.pump();
  };

  /** Takes what the guest has sent, and sends what it has room for. */
  pump(): void {
    if (this.#pumping || this.#driver === undefined) return;
    this.#pumping = true;
    try {
      this.#guarded((driver) => this.#look(driver));
    } finally {
      this.#pumping = false;
    }
  }

  #look(driver: Driver): void {
    const { rx, tx } = driver;
    rx.renew();
    if (this.#unshown) this.#flush(driver);
    if (this.#awake || rx.awaited || tx.queue.available() > 0) {
      this.#turn(driver);
    } else if (this.#nap.over) {
      this.#nap.end();
      if (tx.queue.enableKicks()) this.#turn(driver);
    }
  }

  accepts({ srcCid }: Header): boolean {
    return srcCid === this.cid;
  }

  maps(header: Header): boolean {
    return this.#host.mapped(header);
  }

  deliver(packet: Packet): void {
    if (packet.len >= BULK_BYTES) this.#burst = this.#host.burst(packet);
    this.#host.arrived(this, packet);
  }

  gaveBack(): void {
    this.#schedule();
  }

  #turn(driver: Driver): void {
    const { rx, tx } = driver;
    this.#nap.end();
    this.#awake = true;
    for (let left = WORK_OF_TURN;;) {
      tx.queue.disableKicks();
      this.#burst = 1;
      left -= this.#take(driver, left);
      if (this.#driver !== driver) return; // whoever got a packet has closed the device
      this.#flush(driver);
      if (rx.waiting >= rx.queue.size) return; // a kick of the other ring goes on
      if (left <= 0) return this.#later();
      const burst = tx.queue.eventIdx ? Math.max(1, Math.min(this.#burst, BURST_MAX)) : 1;
      if (tx.queue.enableKicks(burst)) continue;
      this.#awake = false;
      if (burst > 1) this.#nap.begin();
      return;
    }
  }

  /** Takes packets, as long as there is room for what they are answered by: their work. */
  #take(driver: Driver, limit: number): number {
    const { rx, tx } = driver;
    let done = 0;
    while (done < limit && this.#driver === driver && rx.waiting < rx.queue.size) {
      const work = tx.take();
      if (work === 0) break;
      done += work;
    }
    return done;
  }

  /** Shows the guest all that there is for it. */
  #flush(driver: Driver): void {
    const { session: { rings }, rx, tx } = driver;
    this.#unshown = false;
    do {
      rx.flush();
      if (rx.publish()) this.#call(rings[RX]!);
      if (tx.queue.publish()) this.#call(rings[TX]!);
      rx.giveRoom((bytes, least) => this.#host.tellRoom(this, bytes, least));
      if (!rx.awaited) return rx.queue.disableKicks();
    } while (rx.queue.enableKicks() && !rx.givesRoom && !rx.spent);
    if (rx.givesRoom || rx.spent) this.#later();
  }

  #call(ring: Vring): void {
    this.counters.calls++;
    ring.signal("call");
  }

  /**
   * At the end of this turn of the event loop, with all that it still brings, or before: a thread
   * that blocks comes to no end.
   */
  #schedule(): void {
    if (this.#pumping) return;
    this.#unshown = true;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#unshown) this.#guarded((driver) => this.#flush(driver));
    });
  }

  #later(): void {
    this.#rest ??= setImmediate(this.goOn);
    this.#host.rests();
  }

  /** What `use` gives; `undefined` where no driver runs, or where it has just broken a ring. */
  #guarded<T>(use: (driver: Driver) => T): T | undefined {
    const driver = this.#driver;
    if (driver === undefined) return undefined;
    try {
      return use(driver);
    } catch (error) {
      if (!(error instanceof VirtqueueError)) throw error;
      this.#broken = driver.tx.queue;
      for (const ring of driver.session.rings) ring.signal("err");
      this.stop();
      this.#host.fault(this, error);
      return undefined;
    }
  }
}
