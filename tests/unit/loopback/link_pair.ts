/**
 * Both ends of a link in one thread, and packets to send over it.
 *
 * @module
 */
import { VIRTIO_VSOCK_OP_RW } from "../../../ffi/abi/virtio_vsock.ts";
import { Link, type LinkEvents } from "../../../src/loopback/link.ts";
import { createLink, type LinkEnd, type LinkOptions } from "../../../src/loopback/link_memory.ts";
import type { Packet } from "../../../src/virtio/packet.ts";

/** Two open ends, and the memory between them for a test to spoil. */
export class LinkPair implements Disposable {
  readonly ends: [LinkEnd, LinkEnd];
  readonly a: Link;
  readonly b: Link;

  constructor(options: LinkOptions = {}, aEvents: LinkEvents = {}, bEvents: LinkEvents = {}) {
    this.ends = createLink(options);
    this.a = new Link(this.ends[0], aEvents);
    this.b = new Link(this.ends[1], bEvents);
  }

  [Symbol.dispose](): void {
    this.a.close();
    this.b.close();
  }
}

/** A packet from port 3 to port 4; what `fields` does not say is 0. */
export function packet(fields: Partial<Packet> = {}): Packet {
  return {
    srcCid: 1,
    dstCid: 2,
    srcPort: 3,
    dstPort: 4,
    len: 0,
    type: 1,
    op: 6,
    flags: 0,
    bufAlloc: 0,
    fwdCnt: 0,
    ...fields,
  };
}

/** Sends `data` as one RW packet: `false` where there was no memory. */
export function sendData(link: Link, data: Uint8Array, fields: Partial<Packet> = {}): boolean {
  const payload = link.allocate(data);
  if (payload === undefined) return false;
  link.send(packet({ op: VIRTIO_VSOCK_OP_RW, len: data.length, payload, ...fields }));
  return true;
}

/** Everything that has arrived at `link`. */
export function pumped(link: Link): Packet[] {
  const packets: Packet[] = [];
  link.pump((packet) => packets.push(packet));
  return packets;
}

/** How long a thread waits for another before a test fails. */
export const WAIT_MS = 30_000;

/** `onDead()` of a link whose end nobody expects. */
export function die(reason: string): void {
  if (reason !== "the peer has closed the link") throw new Error(reason);
}

/** Waits until something arrives, and pumps it. */
export function turn(link: Link, deliver: (packet: Packet) => void): void {
  if (!link.waitSync(WAIT_MS)) throw new Error("nothing arrived");
  if (!link.alive) throw new Error("the link is dead");
  link.pump(deliver);
}

/** Lengths of packets, random and the same for the same seed: most short, some long. */
export class Lengths {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    const random = x >>> 0;
    return 1 + (random >>> 8) % ((random & 0xff) === 0 ? 65_536 : 512);
  }
}

const PATTERN: Uint8Array = Uint8Array.from({ length: 65_536 + 256 }, (_, i) => (i * 151) >>> 3);

/** The `length` bytes of packet number `i`. */
export function patternOf(i: number, length: number): Uint8Array {
  return PATTERN.subarray(i & 0xff, (i & 0xff) + length);
}

/** FNV-1a over the length and up to 64 bytes of each packet, so that a million take no minute. */
export function sumOf(bytes: Uint8Array, sum: number): number {
  const step = Math.max(1, bytes.length >>> 5);
  let hash = Math.imul(sum ^ bytes.length, 0x0100_0193);
  for (let i = 0; i < bytes.length; i += step) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193);
  return hash >>> 0;
}
