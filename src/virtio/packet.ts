/**
 * Packets of the virtio socket device: the header, its 44 bytes on the wire, and the payload.
 *
 * @module
 */

import { VIRTIO_VSOCK_HDR, VIRTIO_VSOCK_OP_RST } from "../../ffi/abi/virtio_vsock.ts";

/** `struct virtio_vsock_hdr`, decoded. CIDs are unsigned 32-bit here: the upper half must be 0. */
export interface Header {
  /** `src_cid`. */
  readonly srcCid: number;
  /** `dst_cid`. */
  readonly dstCid: number;
  /** `src_port`. */
  readonly srcPort: number;
  /** `dst_port`. */
  readonly dstPort: number;
  /** `len`: payload bytes. */
  readonly len: number;
  /** `VIRTIO_VSOCK_TYPE_*`. */
  readonly type: number;
  /** `VIRTIO_VSOCK_OP_*`. */
  readonly op: number;
  /** Meaning depends on `op`. */
  readonly flags: number;
  /** The sender's receive buffer in bytes. */
  readonly bufAlloc: number;
  /** Bytes that the sender has taken out of its receive buffer, modulo 2^32. */
  readonly fwdCnt: number;
}

/** Who sends to whom. */
export type Ends = Pick<Header, "srcCid" | "srcPort" | "dstCid" | "dstPort" | "type">;

/** The other way. */
export function reversed({ srcCid, srcPort, dstCid, dstPort, type }: Ends): Ends {
  return { srcCid: dstCid, srcPort: dstPort, dstCid: srcCid, dstPort: srcPort, type };
}

/** The header of a packet that says `op` and nothing else. */
export function bareHeader({ srcCid, dstCid, srcPort, dstPort, type }: Ends, op: number): Header {
  return {
    srcCid,
    dstCid,
    srcPort,
    dstPort,
    len: 0,
    type,
    op,
    flags: 0,
    bufAlloc: 0,
    fwdCnt: 0,
  };
}

/** What resets the connection of `ends`, from where that comes. */
export function resetOf(ends: Ends): Header {
  return bareHeader(ends, VIRTIO_VSOCK_OP_RST);
}

/**
 * The bytes of one RW packet, wherever they lie. One owner at a time: the packet, then the receive
 * queue, then a mapping. The owner calls `free()` exactly once.
 */
export interface Payload {
  /** The bytes; starts on a page of its own, and nothing else lies in its last page. */
  readonly bytes: Uint8Array;
  /** Present where the memory is shared with other payloads in turn: nobody gets a view of it. */
  readonly pooled?: true;
  /**
   * Copies `data` behind the bytes where the last page has room for all of it; `false` where not.
   * Only while nothing is lent.
   */
  append(data: Uint8Array): boolean;
  /** Kills every view over the bytes that exists, where the carrier can; the bytes stay. */
  revoke(): void;
  /** `revoke()`, and the memory may be used for something else. */
  free(): void;
  /**
   * A view of its own over `length` bytes from `start`, which `revoke()` kills. Present where the
   * memory is the peer's, who wants it back: then credit is given with it, when it is free.
   */
  lend?(start: number, length: number): Uint8Array;
  /**
   * Copies the bytes, so that the peer can't change them any more but in views that are lent.
   * Present where the memory is the peer's.
   */
  own?(): void;
}

/** A packet on its way. Only RW has a payload. */
export interface Packet extends Header {
  /** Present exactly when `len` is not 0. */
  readonly payload?: Payload | undefined;
  /** Who sent it, for `SIOCOUTQ`; only on the sender's side, only where there is a payload. */
  readonly owner?: { bytesUnsent: number } | undefined;
}

/** Bytes of `struct virtio_vsock_hdr`. */
export const HEADER_SIZE: number = VIRTIO_VSOCK_HDR.size;

/** Writes the bytes of `header`, little endian, at `offset`; those of a `part` of its packet. */
export function encodeHeader(
  header: Header,
  into: DataView,
  offset = 0,
  part: Pick<Header, "len" | "flags"> = header,
): void {
  const { at } = VIRTIO_VSOCK_HDR;
  into.setUint32(offset + at.src_cid, header.srcCid, true);
  into.setUint32(offset + at.src_cid + 4, 0, true);
  into.setUint32(offset + at.dst_cid, header.dstCid, true);
  into.setUint32(offset + at.dst_cid + 4, 0, true);
  into.setUint32(offset + at.src_port, header.srcPort, true);
  into.setUint32(offset + at.dst_port, header.dstPort, true);
  into.setUint32(offset + at.len, part.len, true);
  into.setUint16(offset + at.type, header.type, true);
  into.setUint16(offset + at.op, header.op, true);
  into.setUint32(offset + at.flags, part.flags, true);
  into.setUint32(offset + at.buf_alloc, header.bufAlloc, true);
  into.setUint32(offset + at.fwd_cnt, header.fwdCnt, true);
}

/** Reads the bytes of a header; `undefined` where a CID does not fit 32 bits. */
export function decodeHeader(from: DataView): Header | undefined {
  const { at } = VIRTIO_VSOCK_HDR;
  const upper = from.getUint32(at.src_cid + 4, true) |
    from.getUint32(at.dst_cid + 4, true);
  if (upper !== 0) return undefined;
  return {
    srcCid: from.getUint32(at.src_cid, true),
    dstCid: from.getUint32(at.dst_cid, true),
    srcPort: from.getUint32(at.src_port, true),
    dstPort: from.getUint32(at.dst_port, true),
    len: from.getUint32(at.len, true),
    type: from.getUint16(at.type, true),
    op: from.getUint16(at.op, true),
    flags: from.getUint32(at.flags, true),
    bufAlloc: from.getUint32(at.buf_alloc, true),
    fwdCnt: from.getUint32(at.fwd_cnt, true),
  };
}
