/**
 * The vhost-user protocol: what a front end such as QEMU asks of a device's back end. Numbers and
 * layouts of its specification, native endian; there is no C header for them.
 *
 * @module
 */

/** Requests of a front end, by number. */
export const REQUEST = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  SET_VRING_ENABLE: 18,
  GET_CONFIG: 24,
} as const;

/** `VHOST_USER_F_PROTOCOL_FEATURES`: a bit of the virtio features that only the protocol has. */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;
/** Protocol feature: a request with `NEED_REPLY` is answered, be it by success alone. */
export const VHOST_USER_PROTOCOL_F_REPLY_ACK = 3;
/** Protocol feature: GET_CONFIG. QEMU does without a device that has it not. */
export const VHOST_USER_PROTOCOL_F_CONFIG = 9;
/** `VIRTIO_F_VERSION_1`. */
export const VIRTIO_F_VERSION_1 = 32;

/** Feature `n` as a bit. */
export function bit(n: number): bigint {
  return 1n << BigInt(n);
}

/** Bytes of the header: u32 request, u32 flags, u32 size of the payload. */
export const FRAME_HEADER_SIZE = 12;
/** The largest payload that any request here has room for. */
export const FRAME_BODY_MAX = 1_024;
/** Regions of memory, and so descriptors, that one message can carry. */
export const REGIONS_MAX = 8;
/** Header flags, bits 0 and 1: the version. */
export const FRAME_VERSION = 1;
export const FRAME_VERSION_MASK = 3;
/** Header flag: this is a reply. */
export const FRAME_REPLY = 4;
/** Header flag: the front end waits for a reply. */
export const FRAME_NEED_REPLY = 8;
/** In KICK, CALL and ERR: no descriptor comes along. */
export const VRING_NOFD = 0x100;
/** In KICK, CALL and ERR: which ring. */
export const VRING_INDEX_MASK = 0xff;

/** One region of SET_MEM_TABLE; each has its descriptor. */
export interface Region {
  /** Where it lies in the guest. */
  readonly guestAddress: number;
  /** Bytes. */
  readonly size: number;
  /** Where it lies in the front end. */
  readonly userAddress: number;
  /** Where it lies in the file. */
  readonly offset: number;
}

/** SET_VRING_ADDR: addresses of the front end. */
export interface VringAddress {
  readonly index: number;
  readonly flags: number;
  readonly desc: number;
  readonly used: number;
  readonly avail: number;
}

/** What a front end sent breaks the protocol: the connection with it is over. */
export class FrontEndError extends Error {
  /** Always `"FrontEndError"`. */
  override readonly name: string = "FrontEndError";
}

function u64(view: DataView, at: number, what: string): number {
  const value = Number(view.getBigUint64(at, true));
  if (Number.isSafeInteger(value)) return value;
  throw new FrontEndError(`${what} must fit 53 bits: current value is ${value}`);
}

/** Throws unless `view` has exactly `size` bytes. */
export function requireBody(view: DataView, size: number): void {
  if (view.byteLength === size) return;
  throw new FrontEndError(`payload must be ${size} bytes: current value is ${view.byteLength}`);
}

/** A payload that is one u64. */
export function decodeU64(view: DataView): bigint {
  requireBody(view, 8);
  return view.getBigUint64(0, true);
}

/** A payload that is a ring's index and a number. */
export function decodeVringState(view: DataView): { index: number; value: number } {
  requireBody(view, 8);
  return { index: view.getUint32(0, true), value: view.getUint32(4, true) };
}

/** The payload of SET_VRING_ADDR. */
export function decodeVringAddress(view: DataView): VringAddress {
  requireBody(view, 40);
  return {
    index: view.getUint32(0, true),
    flags: view.getUint32(4, true),
    desc: u64(view, 8, "desc"),
    used: u64(view, 16, "used"),
    avail: u64(view, 24, "avail"),
  };
}

/** The payload of SET_MEM_TABLE. Some front ends send room for eight regions, however few. */
export function decodeRegions(view: DataView): Region[] {
  if (view.byteLength < 8) throw new FrontEndError("memory table must have a count");
  const count = view.getUint32(0, true);
  if (count < 1 || count > REGIONS_MAX || view.byteLength < 8 + 32 * count) {
    throw new FrontEndError(
      `memory table must have 1 to ${REGIONS_MAX} regions: ` +
        `current value is ${count} in ${view.byteLength} bytes`,
    );
  }
  return Array.from({ length: count }, (_, i) => decodeRegion(view, 8 + 32 * i));
}

function decodeRegion(view: DataView, at: number): Region {
  const region = {
    guestAddress: u64(view, at, "guest address"),
    size: u64(view, at + 8, "region size"),
    userAddress: u64(view, at + 16, "user address"),
    offset: u64(view, at + 24, "mmap offset"),
  };
  const { guestAddress, size, userAddress, offset } = region;
  const ends = [guestAddress + size, userAddress + size, offset + size];
  if (size > 0 && ends.every(Number.isSafeInteger)) return region;
  throw new FrontEndError(`region must have bytes within 53 bits: current value is ${size}`);
}
