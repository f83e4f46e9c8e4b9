/**
 * Reading page 0 of a receive mapping after `SO_VM_SOCKETS_MAP_RX`.
 *
 * Another process, guest or kernel writes that page while it is read. So each word is read once,
 * checked, and only the copy is used; what does not add up is an error, never a wild view.
 *
 * @module
 */
import { USR_HDR_MAX, USR_PAGE_SIZE, type UsrHdrPage } from "../../ffi/abi/virtio_vsock_usr.ts";
import { VsockError } from "../error.ts";

/** What is read of page 0: a `UsrHdrPage`, or what a test puts in its stead. */
export type HeaderPage = Pick<UsrHdrPage, "hdrNum" | "headerLength" | "headerFlags">;

/** The checked copy of one call's headers, read into the same arrays again and again. */
export class UsrHeaders {
  /** Packets described: entries of the three arrays that count. */
  count = 0;
  /** Data pages that those packets lie on; equals `hdr_num`. */
  pages = 0;
  /** Sum of the lengths. */
  byteLength = 0;
  /** Those of them that were not copied. */
  mappedBytes = 0;
  /** Payload bytes of each packet, never 0. */
  readonly lengths: Uint32Array = new Uint32Array(USR_HDR_MAX);
  /** The header's flags, only those bits that the mask of `read()` lets through. */
  readonly flags: Uint32Array = new Uint32Array(USR_HDR_MAX);
  /** The data page that each packet starts on; 0 is the one behind page 0. */
  readonly firstPages: Uint32Array = new Uint32Array(USR_HDR_MAX);

  /** Forgets what was read. */
  clear(): void {
    this.count = 0;
    this.pages = 0;
    this.byteLength = 0;
    this.mappedBytes = 0;
  }

  /** Adds a packet that did not come through page 0; at most `USR_HDR_MAX` are known. */
  add(length: number, flags: number, firstPage: number, mapped: boolean): void {
    this.lengths[this.count] = length;
    this.flags[this.count] = flags;
    this.firstPages[this.count] = firstPage;
    this.count += 1;
    this.pages += Math.ceil(length / USR_PAGE_SIZE);
    this.byteLength += length;
    if (mapped) this.mappedBytes += length;
  }

  /** Stands for one packet that was copied, on data page 0. */
  setOne(length: number, flags: number): void {
    this.clear();
    this.add(length, flags, 0, false);
  }

  /**
   * Copies the headers of `page` until their pages add up to `hdr_num`. Afterwards every packet
   * lies within the first `dataPages` data pages and shares no page with another one.
   *
   * A flag outside of `flagMask` is dropped: it comes from the peer as it is and means nothing.
   *
   * @throws {VsockError} `EPROTO`, and `count` is 0, where `hdr_num` is larger than the mapping, a
   * packet runs past `hdr_num`, or the headers end (length 0, or the 511th) before `hdr_num`.
   */
  read(page: HeaderPage, dataPages: number, flagMask: number): void {
    this.clear();
    const hdrNum = page.hdrNum;
    if (hdrNum > dataPages) {
      throw protocolError(`hdr_num is ${hdrNum} in a mapping of ${dataPages} pages`);
    }
    let [count, pages, byteLength] = [0, 0, 0];
    while (pages < hdrNum) {
      const length = count < USR_HDR_MAX ? page.headerLength(count) : 0;
      if (length === 0) {
        throw protocolError(`${count} headers hold ${pages} of ${hdrNum} pages`);
      }
      const next = pages + Math.ceil(length / USR_PAGE_SIZE);
      if (next > hdrNum) {
        const room = hdrNum - pages;
        throw protocolError(`header ${count} has ${length} bytes for ${room} pages`);
      }
      this.lengths[count] = length;
      this.flags[count] = page.headerFlags(count) & flagMask;
      this.firstPages[count] = pages;
      pages = next;
      byteLength += length;
      count++;
    }
    this.count = count;
    this.pages = pages;
    this.byteLength = this.mappedBytes = byteLength;
  }
}

function protocolError(hint: string): VsockError {
  return new VsockError("recv", "EPROTO", { hint: `page 0 makes no sense: ${hint}` });
}
