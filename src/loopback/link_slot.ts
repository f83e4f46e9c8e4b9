/**
 * A slot of the packet ring: the 44 bytes of `struct virtio_vsock_hdr` as 11 words, the number of
 * the payload's block, and the kind of record.
 *
 * @module
 */
import { bareHeader, type Header, type Packet, type Payload } from "../virtio/packet.ts";

/** What a slot holds. */
export const KIND = { packet: 0, openPage0: 1, closePage0: 2 } as const;
/** One of {@linkcode KIND}. */
export type Kind = typeof KIND[keyof typeof KIND];

/** The number of no block. */
export const NO_BLOCK = 0xffff_ffff;

/** Writes the slot at word `at`; the upper halves of both CIDs are 0 from the start. */
export function writeSlot(
  slots: Uint32Array,
  at: number,
  kind: Kind,
  header: Header,
  block: number,
): void {
  slots[at] = header.srcCid;
  slots[at + 2] = header.dstCid;
  slots[at + 4] = header.srcPort;
  slots[at + 5] = header.dstPort;
  slots[at + 6] = header.len;
  slots[at + 7] = header.type | (header.op << 16);
  slots[at + 8] = header.flags;
  slots[at + 9] = header.bufAlloc;
  slots[at + 10] = header.fwdCnt;
  slots[at + 11] = block;
  slots[at + 12] = kind;
}

/** A copy of the slot at word `at`: every word is read once, since the writer may change it. */
export class Slot implements Packet {
  readonly srcCid: number;
  readonly dstCid: number;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly len: number;
  readonly type: number;
  readonly op: number;
  readonly flags: number;
  readonly bufAlloc: number;
  readonly fwdCnt: number;
  declare payload?: Payload;

  constructor(slots: Uint32Array, at: number) {
    const typeAndOp = slots[at + 7]!;
    this.srcCid = slots[at]!;
    this.dstCid = slots[at + 2]!;
    this.srcPort = slots[at + 4]!;
    this.dstPort = slots[at + 5]!;
    this.len = slots[at + 6]!;
    this.type = typeAndOp & 0xffff;
    this.op = typeAndOp >>> 16;
    this.flags = slots[at + 8]!;
    this.bufAlloc = slots[at + 9]!;
    this.fwdCnt = slots[at + 10]!;
  }
}

/** Whether both CIDs of the slot at word `at` fit 32 bits. */
export function cidsFit(slots: Uint32Array, at: number): boolean {
  return slots[at + 1] === 0 && slots[at + 3] === 0;
}

/** The word of the slot at word `at` that names the block. */
export function blockOf(slots: Uint32Array, at: number): number {
  return slots[at + 11]!;
}

/** The word of the slot at word `at` that should be one of {@linkcode KIND}. */
export function kindOf(slots: Uint32Array, at: number): number {
  return slots[at + 12]!;
}

/** The header of a record about a page 0: nothing but ports. */
export function page0Header(srcPort: number, dstPort: number): Header {
  return bareHeader({ srcCid: 0, srcPort, dstCid: 0, dstPort, type: 0 }, 0);
}
