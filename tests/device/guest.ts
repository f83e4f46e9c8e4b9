/**
 * A guest without a machine: our own stack over the driver's side of the rings, as Linux 6.12 has
 * `virtio_transport.c`. It trusts the device with nothing, and notes what it does wrong.
 *
 * @module
 */
import { VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { Wire } from "../../src/loopback/wire.ts";
import { realClock } from "../../src/stack/clock.ts";
import { firstPort, StackNode, type Tap } from "../../src/stack/node.ts";
import { StackTransport } from "../../src/stack/transport.ts";
import type { Carrier } from "../../src/virtio/carrier.ts";
import { decodeHeader, encodeHeader, HEADER_SIZE } from "../../src/virtio/packet.ts";
import type { Packet, Payload } from "../../src/virtio/packet.ts";
import { localPayload } from "../../src/virtio/payload.ts";
import type { Segment } from "../../src/virtio/chain.ts";
import { view } from "../unit/virtio/virtqueue_driver.ts";
import type { GuestRing } from "./guest_ring.ts";
import { type Block, Pool, type Ram } from "./ram.ts";

/** Bytes of a receive buffer in Linux 6.12: `VIRTIO_VSOCK_DEFAULT_RX_BUF_SIZE`. */
const RX_BUFFER = 3_776;
const SMALL = 1_024;
/** As many as a socket's default buffer has room for, twice; Linux has no limit. */
const SMALL_COUNT = 1_024;
/** More than a device holds back of a ring of 128. */
const LARGE_BYTES = 0x80_0000;
/** Bytes between two blocks: nothing lies side by side unless it is to. */
const GAP = 48;

/** How the driver of a {@linkcode FakeGuest} works. */
export interface GuestOptions {
  /** Descriptors of one receive buffer, in bytes. @default {[3776], as Linux 6.12} */
  readonly buffers?: readonly number[];
  /** Receive buffers. @default {as many as the ring has room for} */
  readonly count?: number;
  /** Bytes of one descriptor of what is sent. @default {65536} */
  readonly piece?: number;
  /** Other guests that it talks to, by CID. @default {[]} */
  readonly siblings?: readonly number[];
  /** Sees every packet that either side has sent. */
  readonly tap?: Tap | undefined;
}

/** What a driver has got from its machine. */
export interface GuestParts {
  readonly cid: number;
  readonly ram: Ram;
  readonly rx: GuestRing;
  readonly tx: GuestRing;
  /** Whether INDIRECT_DESC was agreed on. */
  readonly indirect: boolean;
  /** Whether SEQPACKET was. */
  readonly seqpacket: boolean;
}

/** A payload in the guest's memory. Its bytes are the sender's, good until it is sent. */
class TxPayload implements Payload {
  readonly bytes: Uint8Array;
  readonly segments: readonly Segment[];
  readonly #pool: Pool;
  readonly #blocks: readonly Block[];

  /** Copies `bytes` to where `pool` has room for `piece` bytes each. */
  constructor(bytes: Uint8Array, pool: Pool, piece: number) {
    const blocks: Block[] = [];
    const segments: Segment[] = [];
    for (let at = 0; at < bytes.length; at += piece) {
      const [block, part] = [pool.take(), bytes.subarray(at, at + piece)];
      block.bytes.set(part);
      blocks.push(block);
      segments.push({ address: block.address, length: part.length, writable: false });
    }
    this.bytes = bytes;
    this.segments = segments;
    this.#pool = pool;
    this.#blocks = blocks;
  }

  append(): boolean {
    return false;
  }

  revoke(): void {}

  free(): void {
    for (const block of this.#blocks) this.#pool.give(block);
  }
}

/** The stack of the guest, and its driver. */
export class FakeGuest extends StackNode implements Carrier {
  /** What the device did wrong. */
  readonly faults: string[] = [];
  readonly transport: StackTransport;
  readonly seqpacket: boolean;
  readonly #parts: GuestParts;
  readonly #headers: Pool;
  readonly #small: Pool;
  readonly #large: Pool;
  readonly #piece: number;
  readonly #peers: readonly number[];
  /** By head. */
  readonly #posted: Map<number, readonly Block[]> = new Map();
  readonly #sent: Map<number, { readonly packet: Packet; readonly header: Block }> = new Map();
  #queue: Packet[] = [];
  #up = true;
  #scheduled = false;

  constructor(parts: GuestParts, options: GuestOptions = {}) {
    const { cid, ram, rx, tx } = parts;
    super({ cids: [cid], firstPort: firstPort(Math.random), clock: realClock, tap: options.tap });
    this.#parts = parts;
    this.seqpacket = parts.seqpacket;
    this.#peers = [VMADDR_CID_HOST, ...options.siblings ?? []];
    this.#piece = options.piece ?? 0x1_0000;
    this.#headers = new Pool(ram, HEADER_SIZE, tx.driver.size, GAP);
    this.#small = new Pool(ram, SMALL, SMALL_COUNT, GAP);
    this.#large = new Pool(ram, this.#piece, Math.floor(LARGE_BYTES / this.#piece), GAP);
    this.transport = new StackTransport("guest", this);
    this.useWire(new Wire(this));
    this.#postAll(options.buffers ?? [RX_BUFFER], options.count ?? Infinity);
    rx.watch(() => this.#guarded(() => this.#onRxCall()));
    tx.watch(() => this.#guarded(() => this.#onTxCall()));
  }

  /** Chains of the transmit ring that the device has. */
  get inFlight(): number {
    return this.#sent.size;
  }

  override route(cid: number): Carrier | undefined {
    if (this.#peers.includes(cid)) return this.#up ? this : undefined;
    return super.route(cid);
  }

  allocate(data: Uint8Array): Payload | undefined {
    const small = data.length <= SMALL && this.#small.free > 0;
    const [pool, piece] = small ? [this.#small, SMALL] : [this.#large, this.#piece];
    return pool.free * piece < data.length ? undefined : new TxPayload(data, pool, piece);
  }

  send(packet: Packet): void {
    this.tapped(packet);
    this.#queue.push(packet);
    this.#schedule();
  }

  /** The driver is unloaded: connections end, and the rings are left alone from now on. */
  stop(): void {
    if (!this.#up) return;
    this.#up = false;
    for (const { payload } of this.#queue.splice(0)) payload?.free();
    for (const { packet } of this.#sent.values()) packet.payload?.free();
    this.#sent.clear();
    this.stack.reset(this);
  }

  #postAll(sizes: readonly number[], count: number): void {
    const { ram, rx, indirect } = this.#parts;
    const room = indirect ? rx.driver.size : Math.floor(rx.driver.size / sizes.length);
    for (let i = 0; i < Math.min(count, room); i++) {
      this.#post(sizes.map((size) => (ram.take(GAP), ram.take(size))));
    }
    rx.publish();
  }

  #post(blocks: readonly Block[]): void {
    const { rx, indirect } = this.#parts;
    const segments = blocks.map((block) => segment(block, true));
    const head = rx.driver.stage(segments, indirect && segments.length > 1);
    if (head !== undefined) this.#posted.set(head, blocks);
    else this.#fault("the receive ring has no room for what came out of it");
  }

  #onRxCall(): void {
    const { driver } = this.#parts.rx;
    do {
      driver.disableCalls();
      while (this.#up && this.#receive());
    } while (this.#up && driver.enableCalls());
    if (this.#up) this.#parts.rx.publish();
  }

  #receive(): boolean {
    const used = this.#parts.rx.driver.getUsed();
    if (used === undefined) return false;
    const blocks = this.#posted.get(used.head)!;
    this.#posted.delete(used.head);
    const packet = this.#read(blocks, used.length);
    this.#post(blocks);
    if (packet !== undefined) this.deliver(packet);
    return true;
  }

  #read(blocks: readonly Block[], length: number): Packet | undefined {
    if (length < HEADER_SIZE) return this.#fault(`a packet of ${length} bytes`);
    const whole = new Uint8Array(length);
    let at = 0;
    for (const { bytes } of blocks) {
      const part = bytes.subarray(0, length - at);
      whole.set(part, at);
      at += part.length;
    }
    if (at < length) return this.#fault(`a packet of ${length} bytes in a buffer of ${at}`);
    const header = decodeHeader(view(whole));
    if (header === undefined) return this.#fault("a CID of more than 32 bits");
    const { len, srcCid, dstCid, srcPort, dstPort } = header;
    if (len !== length - HEADER_SIZE) return this.#fault(`len ${len} of ${length} bytes`);
    if (!this.#peers.includes(srcCid) || dstCid !== this.cids[0]) {
      return this.#fault(`a packet from ${srcCid} to ${dstCid}`);
    }
    if (len === 0) return header;
    const payload = localPayload(whole.subarray(HEADER_SIZE), this.maps(srcPort, dstPort));
    return { ...header, payload };
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#up) this.#flush();
    });
  }

  #flush(): void {
    let count = 0;
    while (count < this.#queue.length && this.#transmit(this.#queue[count]!)) count++;
    this.#queue.splice(0, count);
    this.#parts.tx.publish();
  }

  #transmit(packet: Packet): boolean {
    const { tx, indirect } = this.#parts;
    const payload = packet.payload instanceof TxPayload ? packet.payload.segments : [];
    if (this.#headers.free === 0) return false;
    const header = this.#headers.take();
    encodeHeader(packet, view(header.bytes));
    const segments = [segment(header, false), ...payload];
    const head = tx.driver.stage(segments, indirect && segments.length > 1);
    if (head === undefined) this.#headers.give(header);
    else this.#sent.set(head, { packet, header });
    return head !== undefined;
  }

  #onTxCall(): void {
    const { driver } = this.#parts.tx;
    let count = 0;
    do {
      driver.disableCalls();
      while (this.#up && this.#reap()) count++;
    } while (this.#up && driver.enableCalls());
    if (count === 0 || !this.#up) return;
    this.#flush();
    this.stack.tellRoom(this);
  }

  #reap(): boolean {
    const used = this.#parts.tx.driver.getUsed();
    if (used === undefined) return false;
    const { packet, header } = this.#sent.get(used.head)!;
    this.#sent.delete(used.head);
    this.#headers.give(header);
    if (used.length !== 0) this.#fault(`${used.length} bytes written to a packet that was sent`);
    if (packet.owner !== undefined) packet.owner.bytesUnsent -= packet.len;
    packet.payload?.free();
    return true;
  }

  /** Runs `look`; what the device cannot have meant ends the driver. */
  #guarded(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.#fault(String(error));
      this.stop();
    }
  }

  #fault(text: string): undefined {
    this.faults.push(text);
  }
}

function segment({ address, bytes }: Block, writable: boolean): Segment {
  return { address, length: bytes.length, writable };
}
