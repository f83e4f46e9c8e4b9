/**
 * A carrier between two threads: packets in shared memory, no kernel and no permission.
 *
 * Each direction has a ring of packet headers and an arena of payload blocks. A payload is copied
 * once, into a block; the receiver looks at it there, and gives the block back. The thread at the
 * other end is not trusted: whatever lies in shared memory is read once, checked and then used, and
 * what cannot be marks the link as broken.
 *
 * @module
 */
import { VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_RW } from "../../ffi/abi/virtio_vsock.ts";
import type { Carrier } from "../virtio/carrier.ts";
import type { Header, Packet, Payload } from "../virtio/packet.ts";
import { BlockPayload, Blocks, notOurs, ReceivedBlocks, SendArena } from "./arena.ts";
import { Bell } from "./bell.ts";
import { END_WORDS, LARGE_BLOCK, type LinkEnd, STATE, WORD } from "./link_memory.ts";
import { Flows, OwnPage0, type Page0 } from "./link_page0.ts";
import {
  blockOf,
  cidsFit,
  KIND,
  type Kind,
  kindOf,
  NO_BLOCK,
  page0Header,
  Slot,
  writeSlot,
} from "./link_slot.ts";
import { Pulse } from "./liveness.ts";
import { BROKEN, NONE, ReturnReader, ReturnWriter, RingReader, RingWriter, Words } from "./ring.ts";

/** What waits for a slot. */
interface Queued {
  readonly kind: Kind;
  readonly header: Header;
  readonly block: number;
  readonly reply: boolean;
}

/** Answers that may wait for a slot: a peer takes in whenever it sends, so that few ever do. */
const REPLIES_MAX = 65_536;

/** What a link tells its user. */
export interface LinkEvents {
  /** `allocate()` gave `undefined` and may give memory now. Called by `pump()`. */
  onRoom?(): void;
  /**
   * The peer has closed, died or broken the rules. Called once, by `pump()`, `beat()`, a wait or a
   * timer. What had arrived before can still be pumped, unless the peer broke the rules.
   */
  onDead?(reason: string): void;
}

/**
 * An open end of a link. The caller closes it.
 *
 * A thread that calls nothing here and does not return to its event loop for `deadAfterMs` is taken
 * for dead by the other: one that spins or computes for so long calls `beat()` now and then.
 */
export class Link implements Carrier, Disposable {
  readonly #events: LinkEvents;
  readonly #own: Words;
  readonly #peer: Words;
  readonly #out: RingWriter;
  readonly #in: RingReader;
  readonly #ownBlocks: Blocks;
  readonly #arena: SendArena;
  readonly #received: ReceivedBlocks;
  readonly #ownArms: Int32Array;
  readonly #peerArms: Int32Array;
  readonly #flows = new Flows();
  readonly #pages = new Map<number, OwnPage0>();
  readonly #pulse: Pulse;
  readonly #bell: Bell;
  #queue: Queued[] = [];
  #replies = 0; // in the queue
  #delivering = false;
  /** `allocate()` gave `undefined` and `onRoom()` was not called since. */
  #owesRoom = false;
  /** What the peer sees in our `starved`, which it looks at for every packet. */
  #starved = false;
  /** Dead: nothing more is sent. Deaf: nothing more is received either. */
  #state: "open" | "dead" | "deaf" = "open";

  /**
   * Opens `end` in this thread.
   *
   * @throws {TypeError} If it has been opened before, here or in another thread.
   */
  constructor(end: LinkEnd, events: LinkEvents = {}) {
    const { side, control, lanes, firstIndex } = end;
    const own = new Words(control, side * END_WORDS);
    const peer = new Words(control, (1 - side) * END_WORDS);
    if (!own.exchange(WORD.state, STATE.created, STATE.open)) {
      throw new TypeError(
        "Cannot open a link end: must be one that was never opened: current value is one that was",
      );
    }
    const [outLane, inLane] = [lanes[side], lanes[side === 0 ? 1 : 0]];
    this.#events = events;
    this.#own = own;
    this.#peer = peer;
    this.#out = new RingWriter(outLane.ring, [own, WORD.tail], [peer, WORD.head], firstIndex);
    this.#in = new RingReader(inLane.ring, [own, WORD.head], [peer, WORD.tail], firstIndex);
    this.#ownBlocks = new Blocks(outLane.blocks);
    this.#arena = new SendArena(
      this.#ownBlocks,
      new ReturnReader(outLane.returns, peer, WORD.returned, firstIndex),
    );
    this.#received = new ReceivedBlocks(
      new Blocks(inLane.blocks),
      new ReturnWriter(inLane.returns, own, WORD.returned, firstIndex),
      () => this.#gaveRoom(),
    );
    this.#ownArms = new Int32Array(outLane.arms);
    this.#peerArms = new Int32Array(inLane.arms);
    this.#bell = new Bell(own, peer, () => this.#news());
    this.#pulse = new Pulse(own, peer, end.deadAfterMs);
    this.#pulse.start(() => this.beat());
  }

  /** Whether the peer is there and packets can be sent. */
  get alive(): boolean {
    return this.#state === "open";
  }

  /** Bytes of payload that are under way at most. */
  get capacity(): number {
    return this.#arena.capacity;
  }

  /** Blocks of this direction that are not in use. */
  get freeBlocks(): number {
    this.#collect();
    return this.#arena.free;
  }

  allocate(data: Uint8Array): Payload | undefined {
    if (data.length < 1 || data.length > LARGE_BLOCK) {
      throw new RangeError(
        `Cannot allocate a payload: data must have 1 to ${LARGE_BLOCK} bytes: ` +
          `current value is ${data.length}`,
      );
    }
    // Many blocks at once, and seldom: the peer writes where they are taken from.
    if (!this.#arena.fits(data.length)) this.#collect();
    if (this.#state !== "open") return undefined;
    const payload = this.#arena.fill(data);
    if (payload !== undefined) return payload;
    if (!this.#owesRoom) this.#arena.gained = false;
    this.#owesRoom = true;
    this.#starve();
    return this.#arena.fill(data);
  }

  /** Takes `packet`. Where the ring is full it waits, in order, and goes out at a `pump()`. */
  send(packet: Packet): void {
    if (this.#state !== "open") {
      packet.payload?.free();
      return;
    }
    this.#post(KIND.packet, packet, this.#blockOf(packet));
  }

  /** Gives everything that has arrived to `deliver`, and sends what waited. */
  pump(deliver: (packet: Packet) => void): void {
    if (this.#state === "deaf") return;
    this.#pulse.beat();
    // Before the ring: what the peer sent before it closed is in the ring by now.
    const last = this.#peer.load(WORD.state) === STATE.closed;
    if (this.#starved) this.#collect();
    this.#flush();
    const count = this.#in.count();
    if (count === BROKEN) this.#break("its ring counts more packets than fit");
    else if (count > 0 && !this.#pulse.met) this.#break("it sends and has not opened its end");
    const until = this.#in.taken + count;
    // The state, since what is delivered may close this link; the distance, since it may pump.
    try {
      while (this.#hears() && ((until - this.#in.taken) | 0) > 0) {
        const packet = this.#receive();
        this.#delivering = true;
        if (packet !== undefined) deliver(packet);
      }
    } finally {
      this.#delivering = false;
    }
    this.#tellRoom();
    if (last) this.#die("the peer has closed the link");
  }

  /** Gives back what `free` frees, all at once. */
  freeTogether(free: () => void): void {
    this.#received.together(free);
  }

  /**
   * Page 0 of the established connection whose packets come from the peer's `srcPort` to our
   * `dstPort`, armed for `at`, where `received` bytes have arrived; `undefined` where there is no
   * memory for it. The caller closes it.
   */
  openPage0(srcPort: number, dstPort: number, at: number, received: number): Page0 | undefined {
    this.#collect();
    if (this.#state !== "open") return undefined;
    const block = this.#arena.takePage();
    if (block === NONE) return undefined;
    const memory = this.#ownBlocks.whole(block)!;
    const page = new OwnPage0(memory, this.#ownArms, block, at, received, this.#forget);
    this.#pages.set(block, page);
    this.#post(KIND.openPage0, page0Header(srcPort, dstPort), block);
    return page;
  }

  /**
   * Blocks this thread until there is something to `pump()`, for at most `timeoutMs` (`Infinity`
   * for ever, 0 or less not at all): whether there is. Gives `true` at once when the link is dead.
   */
  waitSync(timeoutMs: number): boolean {
    if (Number.isNaN(timeoutMs)) {
      throw new RangeError("Cannot wait: timeoutMs must be a number: current value is NaN");
    }
    return this.#bell.waitSync(timeoutMs, this.#pulse.beatMs, () => this.beat());
  }

  /** Resolves when there may be something to `pump()`, or it is dead; holds no event loop. */
  waitAsync(): Promise<void> {
    return this.#bell.waitAsync();
  }

  /** Tells the peer that this thread lives, and looks whether the peer does. */
  beat(): void {
    if (this.#state !== "open") return;
    this.#pulse.beat();
    if (this.#peer.load(WORD.state) === STATE.closed) this.#die("the peer has closed the link");
    else if (this.#pulse.peerIsDead()) this.#die("the peer gives no sign of life");
  }

  /** Closes this end and tells the peer. The second call does nothing. */
  close(): void {
    const open = this.#state === "open";
    this.#state = "deaf";
    if (open) this.#shutDown();
  }

  /** `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #news(): boolean {
    return this.#state !== "open" || this.#in.pending() ||
      (this.#owesRoom && (this.#arena.gained || this.#arena.returnsPending())) ||
      (this.#queue.length > 0 && this.#out.moved()) ||
      this.#peer.load(WORD.state) === STATE.closed;
  }

  #hears(): boolean {
    return this.#state !== "deaf";
  }

  #blockOf({ payload }: Packet): number {
    if (payload === undefined) return NO_BLOCK;
    if (payload instanceof BlockPayload) return payload.surrender(this.#arena);
    throw notOurs();
  }

  #post(kind: Kind, header: Header, block: number): void {
    if (this.#queue.length === 0 && this.#publish(kind, header, block)) return;
    this.#queue.push({ kind, header, block, reply: this.#delivering });
    if (this.#delivering && ++this.#replies > REPLIES_MAX) {
      this.#break("it asks and takes no answer");
    } else this.#starve();
  }

  /** `false` where the ring is full. */
  #publish(kind: Kind, header: Header, block: number): boolean {
    const at = this.#out.claim();
    if (at === NONE) return false;
    if (at === BROKEN) {
      this.#break("it has taken packets that were never sent");
      return true;
    }
    writeSlot(this.#out.slots, at, kind, header, block);
    if (block !== NO_BLOCK && kind !== KIND.openPage0) this.#arena.lend(block);
    this.#out.publish();
    if (kind !== KIND.packet || this.#flows.sent(header)) this.#bell.ring();
    return true;
  }

  #flush(): void {
    let sent = 0;
    for (const { kind, header, block, reply } of this.#queue) {
      if (this.#state !== "open" || !this.#publish(kind, header, block)) break;
      if (reply) this.#replies--;
      sent++;
    }
    if (sent > 0) this.#queue.splice(0, sent);
  }

  /** Asks the peer to wake us for blocks and slots, and takes what came before it saw that. */
  #starve(): void {
    this.#starved = true;
    this.#own.store(WORD.starved, 1);
    this.#collect();
    this.#flush();
  }

  #gaveRoom(): void {
    if (this.#peer.load(WORD.starved) !== 0) this.#bell.ring();
  }

  #tellRoom(): void {
    const tell = this.#owesRoom && this.#arena.gained && this.#state === "open";
    if (tell) this.#owesRoom = false;
    if (this.#starved && !this.#owesRoom && this.#queue.length === 0) {
      this.#starved = false;
      this.#own.store(WORD.starved, 0);
    }
    if (tell) this.#events.onRoom?.();
  }

  #collect(): void {
    if (this.#arena.collect() === BROKEN) this.#break("it gave back a block that it did not have");
  }

  /** Takes the oldest slot: a packet, or `undefined` where it was none. */
  #receive(): Packet | undefined {
    const { slots } = this.#in;
    const at = this.#in.slot();
    const packet = new Slot(slots, at);
    const block = blockOf(slots, at);
    const kind = kindOf(slots, at);
    const fit = cidsFit(slots, at);
    this.#in.release();
    this.#gaveRoom();
    if (!fit) return this.#break("it sent a CID over 32 bits");
    if (kind !== KIND.packet) {
      this.#receiveControl(kind, packet, block);
      return undefined;
    }
    const { op, len } = packet;
    if (op === VIRTIO_VSOCK_OP_RST) this.#flows.end(packet.dstPort, packet.srcPort);
    if (len === 0 && block === NO_BLOCK) return packet;
    if (op === VIRTIO_VSOCK_OP_RW && len > 0) {
      const payload = this.#received.payload(block, len);
      if (payload !== undefined) {
        packet.payload = payload;
        return packet;
      }
    }
    return this.#break("it sent a payload that cannot be");
  }

  #receiveControl(kind: number, { srcPort, dstPort }: Header, block: number): void {
    if (kind === KIND.openPage0) {
      const page = this.#received.hold(block);
      if (page === undefined) return this.#break("it opened a page 0 that cannot be");
      // The peer names the ports as in the packets it receives: those that we send.
      this.#flows.open(srcPort, dstPort, page, this.#peerArms, block);
    } else if (kind === KIND.closePage0 && this.#flows.close(block)) {
      this.#received.giveBack(block);
    } else {
      this.#break("it sent a record that cannot be");
    }
  }

  /** The peer gives the block back when it has forgotten it: until then nobody else uses it. */
  readonly #forget = (block: number): void => {
    this.#pages.delete(block);
    if (this.#state === "open") this.#post(KIND.closePage0, page0Header(0, 0), block);
  };

  #break(what: string): undefined {
    this.#die(`the peer broke the rules of the link: ${what}`, "deaf");
    this.#state = "deaf"; // it may have been dead before
  }

  /** Whoever is told looks for what has come, unless `state` is deaf. */
  #die(reason: string, state: "dead" | "deaf" = "dead"): void {
    if (this.#state !== "open") return;
    this.#state = state;
    this.#shutDown();
    this.#events.onDead?.(reason);
  }

  #shutDown(): void {
    this.#pulse.stop();
    this.#queue = [];
    this.#flows.endAll();
    for (const page of this.#pages.values()) page.end();
    this.#own.store(WORD.state, STATE.closed);
    this.#bell.ring();
    this.#bell.ringSelf();
  }
}
