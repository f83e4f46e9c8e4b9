/**
 * `<linux/errqueue.h>`: what recvmsg(2) with `MSG_ERRQUEUE` tells, such as the end of a zero-copy
 * send.
 *
 * @module
 */
import { requireBytes } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";

/** `ee_origin`: the record is about `MSG_ZEROCOPY` sends. */
export const SO_EE_ORIGIN_ZEROCOPY = 5;
/** `ee_code`: the kernel copied after all. */
export const SO_EE_CODE_ZEROCOPY_COPIED = 1;

/** `struct sock_extended_err`: one record of the error queue. */
export const SOCK_EXTENDED_ERR: Layout<
  "ee_errno" | "ee_origin" | "ee_type" | "ee_code" | "ee_pad" | "ee_info" | "ee_data"
> = layout("struct sock_extended_err", "linux/errqueue.h", {
  ee_errno: "u32", // 0 for zero-copy records
  ee_origin: "u8", // SO_EE_ORIGIN_*
  ee_type: "u8",
  ee_code: "u8", // SO_EE_CODE_*
  ee_pad: "u8",
  ee_info: "u32", // first send that ended
  ee_data: "u32", // last send that ended
});
const { at } = SOCK_EXTENDED_ERR;

/** A `struct sock_extended_err` over the data of a control message. */
export class SockExtendedErr {
  readonly #view: DataView;
  /** Over the first 16 of `bytes`; the getters throw a RangeError past their end. */
  constructor(bytes: Uint8Array) {
    requireBytes("bytes", bytes);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  /** The errno that the record stands for, 0 for none. */
  get errno(): number {
    return this.#view.getUint32(at.ee_errno, true);
  }
  /** Who made the record: `SO_EE_ORIGIN_*`. */
  get origin(): number {
    return this.#view.getUint8(at.ee_origin);
  }
  /** For zero-copy records, `SO_EE_CODE_ZEROCOPY_COPIED` or 0. */
  get code(): number {
    return this.#view.getUint8(at.ee_code);
  }
  /** For zero-copy records, the first send that ended: counted from 0, modulo 2^32. */
  get info(): number {
    return this.#view.getUint32(at.ee_info, true);
  }
  /** For zero-copy records, the last send that ended, inclusive. */
  get data(): number {
    return this.#view.getUint32(at.ee_data, true);
  }
}
