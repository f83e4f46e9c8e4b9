/**
 * The host as guests see it: one stack for all of them, and the packets that go between two.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import type { SocketType } from "../socket.ts";
import { realClock } from "../stack/clock.ts";
import { LocalPage } from "../stack/local_page.ts";
import { firstPort, type RxPage, StackNode, type Tap, tellsCreditLate } from "../stack/node.ts";
import { StackSocket } from "../stack/socket.ts";
import type { Carrier } from "../virtio/carrier.ts";
import { acceptRequest } from "../virtio/connection.ts";
import { type Header, type Packet, resetOf } from "../virtio/packet.ts";
import type { VsockSock } from "../virtio/sock.ts";
import { Guest, type GuestHost } from "./guest.ts";
import { NAP_MS } from "./nap.ts";
import { SiblingFlows } from "./sibling_flows.ts";
import { Watcher } from "./watcher.ts";

/** Of a buffer of so many bytes one packet may wait for the next. */
const BURST_BYTES = 4 * VIRTIO_VSOCK_MAX_PKT_BUF_SIZE;
/**
 * Bytes of memory that packets of one guest may take while another has no buffers for them: as much
 * as is on its way of 256 connections with buffers of the usual size.
 */
const FORWARDED_MAX = 64 * 1024 * 1024;

const TYPES: ReadonlyMap<number, SocketType> = new Map([
  [VIRTIO_VSOCK_TYPE_STREAM, "stream"],
  [VIRTIO_VSOCK_TYPE_SEQPACKET, "seqpacket"],
]);

/** What a device is told of its guests, by their CIDs. No call throws. */
export interface NodeListener {
  /** One has broken a ring. */
  fault(cid: number, error: Error): void;
  /** The driver of one has started, or stopped. */
  state(cid: number): void;
  /**
   * One connects to a port of the host where nobody listens. `accept` accepts it, before this
   * returns and once.
   */
  connect(cid: number, port: number, type: SocketType, accept: () => StackSocket): void;
}

/** The stack of a device, whose system calls take in what guests have sent. */
export class DeviceNode extends StackNode implements GuestHost {
  readonly watcher: Watcher = new Watcher();
  readonly #guests: Map<number, Guest> = new Map();
  readonly #siblings: Set<Guest> = new Set();
  readonly #flows: SiblingFlows = new SiblingFlows();
  readonly #listener: NodeListener;

  constructor(tap: Tap | undefined, listener: NodeListener) {
    super({
      cids: [VMADDR_CID_HOST],
      firstPort: firstPort(Math.random),
      clock: realClock,
      tap,
    });
    this.#listener = listener;
  }

  /** Makes a guest known by its CID; `siblings`: it may talk to others of the kind. */
  addGuest(guest: Guest, siblings: boolean): void {
    this.#guests.set(guest.cid, guest);
    if (siblings) this.#siblings.add(guest);
  }

  /** Forgets a guest, which has stopped. */
  removeGuest(guest: Guest): void {
    this.#guests.delete(guest.cid);
    this.#siblings.delete(guest);
  }

  override get carrierName(): string {
    return "device";
  }

  override get blocks(): boolean {
    return true;
  }

  override get looks(): boolean {
    return true;
  }

  override route(cid: number): Carrier | undefined {
    const guest = this.#guests.get(cid);
    return guest?.up ? guest : undefined;
  }

  /** Late, since each time the guest has to be interrupted. */
  override tellsCredit(sock: VsockSock): boolean {
    return tellsCreditLate(sock);
  }

  override pump(carrier?: Carrier): void {
    if (carrier instanceof Guest) carrier.pump();
    else for (const guest of this.#guests.values()) guest.pump();
  }

  /** How many packets of that connection may wait for each other: a quarter of its buffer. */
  burst(header: Header): number {
    const { srcCid, srcPort, dstPort } = header;
    const sock = this.stack.findConnected(srcCid, srcPort, dstPort);
    return Math.floor((sock?.credit.bufAlloc ?? 0) / BURST_BYTES);
  }

  override block(ready: () => number, timeoutMs: number): number {
    return this.blockBy((ms) => this.#sleep(ms), ready, timeoutMs);
  }

  /** Sleeps for at most so many milliseconds; not at all where a guest waits for the event loop. */
  #sleep(ms: number): void {
    const resting = [...this.#guests.values()].filter((guest) => guest.resting);
    for (const guest of resting) guest.goOn();
    const most = resting.length === 0 ? Math.min(ms, this.#nap()) : 0;
    this.watcher.waitSync(Math.ceil(most));
    this.pump();
  }

  /** Milliseconds until packets may have come that nobody kicks for. */
  #nap(): number {
    for (const guest of this.#guests.values()) if (guest.napping) return NAP_MS;
    return Infinity;
  }

  override openPage(_sock: VsockSock): RxPage {
    return new LocalPage(true, true);
  }

  mapped({ dstCid, srcPort, dstPort }: Header): boolean {
    return dstCid === VMADDR_CID_HOST && this.maps(srcPort, dstPort);
  }

  arrived(guest: Guest, packet: Packet): void {
    if (packet.dstCid === VMADDR_CID_HOST) this.#arrivedHere(guest, packet);
    else this.#forward(packet, guest);
  }

  #arrivedHere(guest: Guest, packet: Packet): void {
    const news = packet.op === VIRTIO_VSOCK_OP_REQUEST && !this.stack.has(packet);
    const type = news ? TYPES.get(packet.type) : undefined;
    if (type === undefined || (type === "seqpacket" && !guest.seqpacket)) {
      return this.deliver(packet);
    }
    let open = true;
    const accept = (): StackSocket => {
      const sock = open ? this.#accept(packet) : undefined;
      open = false;
      if (sock === undefined) throw new SysError("accept", "ECONNABORTED");
      return new StackSocket(this, type, sock);
    };
    this.#listener.connect(guest.cid, packet.dstPort, type, accept);
    if (open) this.deliver(packet);
    open = false;
  }

  #accept(packet: Packet): VsockSock | undefined {
    this.tapped(packet);
    return acceptRequest(this.stack, packet);
  }

  sent(packet: Packet): void {
    this.tapped(packet);
  }

  tellRoom(guest: Guest, bytes: number, least: number): boolean {
    return this.stack.tellRoom(guest, bytes, least);
  }

  rests(): void {
    this.turns.end();
  }

  stopped(guest: Guest): readonly Header[] {
    const resets = this.stack.reset(guest);
    for (const reset of this.#flows.stop(guest.cid)) {
      if (reset.dstCid === guest.cid) resets.push(reset);
      else this.#pass(reset, this.#guests.get(reset.dstCid), 2 * FORWARDED_MAX);
    }
    return resets;
  }

  changed(guest: Guest): void {
    this.#listener.state(guest.cid);
  }

  fault(guest: Guest, error: Error): void {
    this.#listener.fault(guest.cid, error);
  }

  /** From one guest to another, both of which have agreed to it. */
  #forward(packet: Packet, from: Guest): void {
    const to = this.#guests.get(packet.dstCid);
    const may = to !== undefined && this.#siblings.has(from) && this.#siblings.has(to);
    if (may && this.#pass(packet, to, FORWARDED_MAX)) return;
    packet.payload?.free();
    this.stack.resetNoSock(packet);
    // One that was dropped is missing: the other end must not go on either.
    if (may) this.#pass(resetOf(packet), to, 2 * FORWARDED_MAX);
  }

  /** Whether `to` takes `packet`, of which `limit` bytes of its sender's may wait. */
  #pass(packet: Packet, to: Guest | undefined, limit: number): boolean {
    if (!to?.forward(packet, limit)) return false;
    this.#flows.note(packet);
    this.tapped(packet);
    return true;
  }
}
