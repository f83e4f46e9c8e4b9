/**
 * The loopback between two threads: a stack at each end, joined by a link in shared memory.
 *
 * @module
 */
import { requireFunction, requireObject, requireU32 } from "../arguments.ts";
import { shown } from "../shown.ts";
import type { Carrier } from "../virtio/carrier.ts";
import type { Packet, Payload } from "../virtio/packet.ts";
import type { VsockSock } from "../virtio/sock.ts";
import { realClock } from "../stack/clock.ts";
import { LocalPage } from "../stack/local_page.ts";
import { Link } from "./link.ts";
import { createLink, type LinkEnd, type LinkOptions } from "./link_memory.ts";
import type { Page0 } from "./link_page0.ts";
import { firstPort, type RxPage, StackNode, type Tap, tellsCreditLate } from "../stack/node.ts";
import { StackTransport } from "../stack/transport.ts";
import type { Transport } from "../transport.ts";
import { sleepSync } from "../wait/sleep.ts";
import { turn } from "../wait/turns.ts";
import { Wire } from "./wire.ts";

/** How often a peer may wake an event loop in one turn of it. */
const WAKES = 128;

/** How {@linkcode createLoopbackLink} is laid out. */
export interface LoopbackLinkOptions extends Omit<LinkOptions, "firstIndex"> {
  /** The CID of each end, unsigned 32-bit. @default {[2, 3]} */
  readonly cids?: readonly [number, number] | undefined;
}

/** One end of a link: goes through `postMessage()` and `workerData`, and is opened once. */
export interface LoopbackEnd {
  /** The CID of this end. */
  readonly cid: number;
  /** The CID of the other. */
  readonly peerCid: number;
  /** The shared memory. */
  readonly link: LinkEnd;
}

/** A transport whose other end is in another thread. The caller closes it. */
export interface LinkedLoopback extends Transport, Disposable {
  /** The CID of the other end. */
  readonly peerCid: number;
  /**
   * Takes this end away: both ends' connections over it end with ECONNRESET, as they do when the
   * other end has died. Listeners stay, for connections inside of this thread: close them too.
   */
  close(): void;
}

/**
 * Makes the two ends of a loopback between threads: give one to a Worker, or both to two.
 *
 * @throws {RangeError} If an option is out of its range, or both ends have the same CID.
 * @throws {TypeError} If one is no number.
 *
 * @example Both ends, here in one thread
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 * import { createLoopbackLink, openLoopback } from "@vsockit/vsockit/loopback";
 *
 * const [end, other] = createLoopbackLink(); // worker.postMessage(other)
 * using host = openLoopback(end);
 * using guest = openLoopback(other);
 * using listener = listen({ cid: 2, port: 1024 }, { transport: host });
 * using conn = await connect({ cid: 2, port: 1024 }, { transport: guest });
 * using peer = await listener.accept();
 * await conn.write(new TextEncoder().encode("hello"));
 * console.log(await peer.read(new Uint8Array(16))); // 5
 * ```
 */
export function createLoopbackLink(options: LoopbackLinkOptions = {}): [LoopbackEnd, LoopbackEnd] {
  requireObject("options", options);
  const { 0: a, 1: b } = options.cids ?? [2, 3];
  requireU32("cids", a);
  requireU32("cids", b);
  if (a === b) throw new RangeError(`Cannot use cids: must differ: current value is ${a}, ${b}`);
  const [near, far] = createLink(options);
  return [
    { cid: a, peerCid: b, link: near },
    { cid: b, peerCid: a, link: far },
  ];
}

/**
 * Opens one end of a loopback link in this thread.
 *
 * Packets are taken in by every call on a socket, by `waitSync()`, and by the event loop. A thread
 * that does none of these for `deadAfterMs` is dead to its peer.
 *
 * @returns The transport. The caller closes it.
 * @throws {TypeError} If `end` is none, or has been opened before, in any thread.
 */
export function openLoopback(
  end: LoopbackEnd,
  options: { tap?: Tap | undefined } = {},
): LinkedLoopback {
  requireObject("options", options);
  if (options.tap !== undefined) requireFunction("tap", options.tap);
  if (typeof (end as Partial<LoopbackEnd> | null | undefined)?.link?.side !== "number") {
    throw new TypeError(
      `Cannot open a loopback: end must be of createLoopbackLink(): current value is ${shown(end)}`,
    );
  }
  return new LinkedTransport(new LinkedNode(end, options.tap), end.peerCid);
}

class LinkedTransport extends StackTransport implements LinkedLoopback {
  readonly peerCid: number;
  readonly #linked: LinkedNode;

  constructor(node: LinkedNode, peerCid: number) {
    super("loopback", node);
    this.#linked = node;
    this.peerCid = peerCid;
  }

  close(): void {
    this.#linked.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The stack of one thread; every system call takes in what the other thread has sent. */
class LinkedNode extends StackNode implements Carrier {
  readonly closing: Set<VsockSock> = new Set();
  readonly #peerCid: number;
  readonly #link: Link;
  readonly #deliver = (packet: Packet): void => this.#fromPeer(packet);
  #pumping = false;
  #armed = false;
  #woken = 0;

  constructor(end: LoopbackEnd, tap: Tap | undefined) {
    super({
      cids: [end.cid],
      firstPort: firstPort(Math.random),
      clock: realClock,
      tap,
    });
    this.#peerCid = end.peerCid;
    this.useWire(new Wire(this));
    this.#link = new Link(end.link, {
      onRoom: () => this.stack.tellRoom(this),
      onDead: () => {
        this.pump(); // what the peer sent before it died
        this.stack.reset(this);
      },
    });
    // Not before this thread returns to its event loop: one that never does is not to be woken.
    setTimeout(() => this.keepPumping(), 0);
  }

  override get blocks(): boolean {
    return true;
  }

  get messageMax(): number {
    return this.#link.capacity;
  }

  override route(cid: number): Carrier | undefined {
    if (cid === this.#peerCid) return this.#link.alive ? this : undefined;
    return super.route(cid);
  }

  /** A thread has to be woken, and an update costs the sender as much as to send a packet. */
  override tellsCredit(sock: VsockSock): boolean {
    return tellsCreditLate(sock);
  }

  allocate(data: Uint8Array): Payload | undefined {
    return this.#link.allocate(data);
  }

  send(packet: Packet): void {
    this.tapped(packet);
    this.#link.send(packet);
    if (packet.owner !== undefined) packet.owner.bytesUnsent -= packet.len;
  }

  override pump(): void {
    if (this.#pumping) return; // a tap has made a call
    this.#pumping = true;
    try {
      this.#link.pump(this.#deliver);
    } finally {
      this.#pumping = false;
    }
  }

  /** The thread at the other end has one CID and is to speak of no other connections. */
  #fromPeer(packet: Packet): void {
    if (packet.srcCid === this.#peerCid && this.cids.includes(packet.dstCid)) this.deliver(packet);
    else packet.payload?.free();
  }

  override keepPumping(): void {
    if (this.#armed || !this.#link.alive) return;
    this.#armed = true;
    this.#link.waitAsync().then(async () => {
      // From a peer that never pauses. Not by `turns`: another thread may end a turn, and no call
      // of a user awaits this one.
      if (++this.#woken % WAKES === 0) await turn();
      this.#armed = false;
      this.pump();
      this.keepPumping();
    });
  }

  override block(ready: () => number, timeoutMs: number): number {
    const sleep = (ms: number): void => {
      if (this.#link.alive) this.#link.waitSync(ms);
      else sleepSync(ms); // until a deadline: nothing comes any more
    };
    return this.blockBy(sleep, ready, timeoutMs);
  }

  override freeTogether(free: () => void): void {
    this.#link.freeTogether(free);
  }

  override openPage(sock: VsockSock): RxPage {
    if (sock.carrier !== this) return super.openPage(sock);
    const { local, remote, rx } = sock;
    const page = this.#link.openPage0(remote.port, local.port, threshold(sock), rx.received);
    // Without one the peer rings for each packet, and who would spin on the page polls.
    return page === undefined ? new LocalPage(true) : new LinkedPage(sock, page);
  }

  close(): void {
    this.#link.close();
    this.stack.reset(this);
  }
}

/** How many bytes the peer must have sent before `sock` is readable. */
function threshold(sock: VsockSock): number {
  return sock.rx.received - sock.rx.rxBytes + sock.rcvlowat;
}

/** Page 0 of a socket whose peer is in the other thread: that one sets `poll_value` as it sends. */
class LinkedPage implements RxPage {
  readonly words: Int32Array;
  readonly volatile: boolean = true;
  readonly spins: boolean = true;
  readonly #sock: VsockSock;
  readonly #page: Page0;

  constructor(sock: VsockSock, page: Page0) {
    this.words = page.words;
    this.#sock = sock;
    this.#page = page;
  }

  /** By what the peer has sent, which this end may not have taken in yet. */
  settle(_readable: boolean, closed: boolean): void {
    this.#page.settle(threshold(this.#sock), closed);
  }

  close(): void {
    this.#page.close();
  }
}
