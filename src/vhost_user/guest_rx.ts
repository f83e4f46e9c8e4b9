/**
 * What a guest receives: packets into the buffers that it has posted on its receive ring.
 *
 * @module
 */
import { VIRTIO_VSOCK_SEQ_EOM, VIRTIO_VSOCK_SEQ_EOR } from "../../ffi/abi/virtio_vsock.ts";
import type { Destination } from "../virtio/carrier.ts";
import { type Chain, type GuestMemory, refuse } from "../virtio/chain.ts";
import { Fifo } from "../virtio/fifo.ts";
import {
  encodeHeader,
  type Header,
  HEADER_SIZE,
  type Packet,
  type Payload,
} from "../virtio/packet.ts";
import type { Virtqueue } from "../virtio/virtqueue.ts";
import { Forwarded, memoryOf, type Waiting } from "./forwarded.ts";
import { RoomTurns } from "./room_turns.ts";
import { AddedPayload, HeldPayload, type Part, PlacedPayload } from "./rx_payloads.ts";
import { scatter } from "./spans.ts";
import { WORK_OF_TURN, workOf } from "./work.ts";

const SEQ_END = VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR;
/** Bytes of memory that messages may take here while they wait for buffers of the guest. */
const WAITING_MAX = 4 * 1024 * 1024;

/** The last packet of a stream, while more of the same connection may be added to it. */
interface Tail {
  readonly chain: Chain;
  length: number;
  readonly dstPort: number;
  readonly srcPort: number;
}

/** Writes one receive ring, from its start to its stop. */
export class RxWriter {
  readonly queue: Virtqueue;
  readonly #memory: GuestMemory;
  readonly #header = new Uint8Array(HEADER_SIZE);
  readonly #view = new DataView(this.#header.buffer);
  /** Taken off the ring, and not used after all. */
  readonly #spare: Chain[] = [];
  /** Packets that wait for buffers. */
  readonly #waiting: Fifo<Waiting> = new Fifo();
  /** Those of other guests. */
  readonly #forwarded: Forwarded = new Forwarded();
  readonly #turns: RoomTurns = new RoomTurns();
  /** Bytes of a payload that the last buffer had room for. */
  #bufferBytes = 1;
  /** Work that is left of this turn. */
  #left = WORK_OF_TURN;
  /** Bytes of the payloads that wait, or are held to be sent: nothing is placed before them. */
  #held = 0;
  #tail: Tail | undefined;

  constructor(queue: Virtqueue, memory: GuestMemory) {
    this.queue = queue;
    this.#memory = memory;
  }

  /** Packets of the host that wait for buffers of the guest. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether somebody waits for the guest to post buffers. */
  get awaited(): boolean {
    return this.#waiting.length > 0 || this.#forwarded.length > 0 || this.#turns.asked;
  }

  /** Copies `data`, or of a stream as much as there are buffers for, to where the guest gets it. */
  allocate(data: Uint8Array, to: Destination): Payload | undefined {
    if (this.#waiting.length === 0 && this.#held === 0) {
      if (!to.seqpacket && this.#canAdd(data, to)) return new AddedPayload(data);
      const placed = this.#place(data, to.seqpacket);
      if (placed !== undefined) return placed;
    }
    if (to.seqpacket && this.#mayWait(data)) return this.#hold(data);
    this.#turns.refuse();
    return undefined;
  }

  /** Takes `packet` over, and sends it: the guest sees it once the ring is published. */
  send(packet: Packet): void {
    const { payload } = packet;
    if (payload instanceof PlacedPayload) {
      this.#sendPlaced(packet, payload.parts);
    } else if (payload instanceof AddedPayload) {
      this.#add(packet, payload.bytes);
    } else {
      this.#waiting.push({ packet, offset: 0 });
      this.flush();
    }
  }

  /** Takes a packet of another guest over: `false` where over `limit` bytes of it would wait. */
  forward(packet: Packet, limit: number): boolean {
    return this.#forwarded.push(packet, limit);
  }

  /** Sends what waits, as far as this turn has buffers: of the host and of other guests in turn. */
  flush(): void {
    while (this.#waiting.length > 0 || this.#forwarded.length > 0) {
      if (!(this.#turns.othersNext ? this.#sendForwarded() : this.#sendOwn())) return;
      this.#turns.othersNext = !this.#turns.othersNext;
    }
  }

  /** Whether a payload of a stream could be placed. */
  get hasRoom(): boolean {
    return this.#waiting.length === 0 && !this.spent &&
      (this.#spare.length > 0 || this.queue.available() > 0);
  }

  /** Whether the work of this turn is done: no buffer is filled before `renew()`. */
  get spent(): boolean {
    return this.#left <= 0;
  }

  /** Begins a turn. */
  renew(): void {
    this.#left = WORK_OF_TURN;
  }

  /**
   * Where somebody was refused and there is room now, calls `tell` with its `bytes`, of which each
   * sender takes `least` or more. That tells as many senders as there is room for, and gives
   * whether any are left. The room is kept for them until `shareRoom()`: what other guests have
   * sent waits.
   */
  giveRoom(tell: (bytes: number, least: number) => boolean): void {
    if (!this.#turns.wanted || !this.hasRoom) return;
    const count = this.#spare.length + this.queue.available();
    const left = tell(count * this.#bufferBytes, this.#bufferBytes);
    this.#turns.give(!left, this.#forwarded.length > 0);
  }

  /** Whether `shareRoom()` is to be called once who was told of room has had a turn. */
  get givesRoom(): boolean {
    return this.#turns.given;
  }

  /** Has what other guests have sent go on, and then who was refused and not told yet. */
  shareRoom(): void {
    this.#turns.end();
  }

  /** Ends the last packet, and shows the guest all there is: whether it has to be called. */
  publish(): boolean {
    this.#endTail();
    return this.queue.publish();
  }

  /** Frees what waits, and leaves to the ring what was not used. */
  stop(): void {
    this.queue.unpop(this.#spare.splice(0));
    for (const waiting of [this.#waiting, this.#forwarded]) {
      for (const { packet } of waiting.clear()) packet.payload?.free();
    }
  }

  /**
   * Whether a part of a message may be held until there are buffers. The first may be of any size,
   * or it would never be sent. More of them may be held while there is memory, and while nobody was
   * refused: who was has to wait until nothing is held, and would be overtaken again and again.
   */
  #mayWait({ length }: Uint8Array): boolean {
    if (this.#waiting.length === 0) return true;
    return !this.#turns.untold && this.#held + memoryOf(length) <= WAITING_MAX;
  }

  #hold(data: Uint8Array): Payload {
    const memory = memoryOf(data.length);
    this.#held += memory;
    return new HeldPayload(data, () => this.#held -= memory);
  }

  #canAdd({ length }: Uint8Array, { local, remote }: Destination): boolean {
    const tail = this.#tail;
    return tail !== undefined && tail.dstPort === remote.port && tail.srcPort === local.port &&
      HEADER_SIZE + tail.length + length <= tail.chain.writable;
  }

  #next(): Chain | undefined {
    if (this.spent) return undefined;
    const chain = this.#spare.shift() ?? this.queue.pop();
    if (chain === undefined) return undefined;
    this.#left -= workOf(chain);
    if (chain.readable > 0) refuse("a buffer to receive", "writable", "readable");
    // With no room for a byte, a stream would never get on.
    if (chain.writable <= HEADER_SIZE) {
      refuse("a buffer to receive", `over ${HEADER_SIZE} bytes`, chain.writable);
    }
    this.#bufferBytes = chain.writable - HEADER_SIZE;
    return chain;
  }

  #place(data: Uint8Array, whole: boolean): Payload | undefined {
    const parts: Part[] = [];
    let placed = 0;
    while (placed < data.length) {
      const chain = this.#next();
      if (chain === undefined) break;
      const length = Math.min(chain.writable - HEADER_SIZE, data.length - placed);
      scatter(this.#memory, chain, HEADER_SIZE, data.subarray(placed, placed + length));
      parts.push({ chain, length });
      placed += length;
    }
    if (placed === 0 || (whole && placed < data.length)) {
      this.#unplace(parts);
      return undefined;
    }
    return new PlacedPayload(data.subarray(0, placed), parts, this.#unplace);
  }

  readonly #unplace = (parts: readonly Part[]): void => {
    this.#spare.unshift(...parts.map(({ chain }) => chain));
  };

  #sendPlaced(packet: Packet, parts: readonly Part[]): void {
    const last = parts.length - 1;
    for (let i = 0; i < last; i++) this.#push(packet, parts[i]!, packet.flags & ~SEQ_END);
    this.#sendLast(packet, parts[last]!);
    sent(packet, packet.len);
  }

  /** Keeps the end of a stream open for more. */
  #sendLast(packet: Packet, { chain, length }: Part): void {
    this.#endTail();
    this.#write(packet, chain, length, packet.flags);
    const { srcPort, dstPort } = packet;
    this.#tail = { chain, length, srcPort, dstPort };
  }

  #add(packet: Packet, data: Uint8Array): void {
    const tail = this.#tail!;
    scatter(this.#memory, tail.chain, HEADER_SIZE + tail.length, data);
    tail.length += data.length;
    this.#write(packet, tail.chain, tail.length, packet.flags);
    sent(packet, packet.len);
  }

  #endTail(): void {
    const tail = this.#tail;
    if (tail === undefined) return;
    this.#tail = undefined;
    this.queue.push(tail.chain.head, HEADER_SIZE + tail.length);
  }

  /** Sends the first of what waits, or a part of it: whether it is gone. */
  #sendFirst(waiting: Fifo<Waiting> | Forwarded): boolean {
    if (!this.#sendWaiting(waiting.first!)) return false;
    waiting.drop();
    return true;
  }

  /** Has the host have its turn: whether that is over. */
  #sendOwn(): boolean {
    if (this.#waiting.length === 0) return !this.#turns.asked;
    return this.#sendFirst(this.#waiting);
  }

  /** Likewise other guests. */
  #sendForwarded(): boolean {
    return this.#forwarded.length === 0 || this.#sendFirst(this.#forwarded);
  }

  /** Sends a packet, or a part of it: whether it is gone. */
  #sendWaiting(entry: Waiting): boolean {
    const { packet } = entry;
    const { len, flags, payload } = packet;
    do {
      const chain = this.#next();
      if (chain === undefined) return false;
      const { offset } = entry;
      const length = Math.min(chain.writable - HEADER_SIZE, len - offset);
      if (length > 0) {
        const data = payload!.bytes.subarray(offset, offset + length);
        scatter(this.#memory, chain, HEADER_SIZE, data);
      }
      entry.offset += length;
      sent(packet, length);
      this.#push(packet, { chain, length }, entry.offset < len ? flags & ~SEQ_END : flags);
    } while (entry.offset < len);
    payload?.free();
    return true;
  }

  #push(packet: Header, { chain, length }: Part, flags: number): void {
    this.#endTail();
    this.#write(packet, chain, length, flags);
    this.queue.push(chain.head, HEADER_SIZE + length);
  }

  #write(packet: Header, chain: Chain, len: number, flags: number): void {
    encodeHeader(packet, this.#view, 0, { len, flags });
    scatter(this.#memory, chain, 0, this.#header);
  }
}

/** `length` bytes of `packet` have left. */
function sent({ owner }: Packet, length: number): void {
  if (owner !== undefined) owner.bytesUnsent -= length;
}
