/**
 * The receive ABI of "[RFC PATCH v3 00/11] virtio/vsock: experimental zerocopy receive": two socket
 * options and page 0 of the mapping. No released kernel has it, so no header does either.
 *
 * @module
 */
import { textOf } from "../arguments.ts";
import { type Layout, layout } from "../layout.ts";
import { kindOf } from "../view.ts";

/** Option at level `AF_VSOCK`, getsockopt(2) only: maps queued packets; `optval` is the mapping. */
export const SO_VM_SOCKETS_MAP_RX = 9;
/** Option at level `AF_VSOCK`, u64 0 or 1: zero-copy receive, settable before connect(2) only. */
export const SO_VM_SOCKETS_ZEROCOPY = 10;
/** `poll_value`: the input queue is empty. */
export const POLL_VALUE_EMPTY = 0;
/** `poll_value`: there is data to read. */
export const POLL_VALUE_DATA = 1;
/** `poll_value`: no more data will be queued; dequeue until `hdr_num` is 0. */
export const POLL_VALUE_CLOSED = 0xffff_ffff;
/** Bytes of page 0, and of every data page. */
export const USR_PAGE_SIZE = 4096;
/** How many `virtio_vsock_usr_hdr` fit in page 0: (4096 - 8) / 8. */
export const USR_HDR_MAX = 511;

/** Where this ABI is written down; stands where other layouts have a header. */
const SOURCE = "RFC v3 cover letter";

/** `struct virtio_vsock_usr_hdr_pref`: the start of page 0. Native endian. */
export const VIRTIO_VSOCK_USR_HDR_PREF: Layout<"poll_value" | "hdr_num"> = layout(
  "struct virtio_vsock_usr_hdr_pref",
  SOURCE,
  {
    poll_value: "u32", // POLL_VALUE_*
    hdr_num: "u32", // data pages mapped by the last call, not headers
  },
  { packed: true },
);

/** `struct virtio_vsock_usr_hdr`: one queued packet; the array follows the pref. Native endian. */
export const VIRTIO_VSOCK_USR_HDR: Layout<"length" | "flags"> = layout(
  "struct virtio_vsock_usr_hdr",
  SOURCE,
  {
    length: "u32", // bytes; 0 ends the array
    flags: "u32", // VIRTIO_VSOCK_SEQ_*
  },
  { packed: true },
);

const WORD = Int32Array.BYTES_PER_ELEMENT;
const PAGE_WORDS = USR_PAGE_SIZE / WORD;
const POLL_VALUE = VIRTIO_VSOCK_USR_HDR_PREF.at.poll_value / WORD;
const HDR_NUM = VIRTIO_VSOCK_USR_HDR_PREF.at.hdr_num / WORD;
const FIRST = VIRTIO_VSOCK_USR_HDR_PREF.size / WORD;
const STRIDE = VIRTIO_VSOCK_USR_HDR.size / WORD;
const LENGTH = VIRTIO_VSOCK_USR_HDR.at.length / WORD;
const FLAGS = VIRTIO_VSOCK_USR_HDR.at.flags / WORD;

/**
 * Page 0 of a receive mapping, live: every getter is one load of memory that somebody else may be
 * writing, so read a word once into a local, check it, then use it.
 *
 * All values are unsigned 32-bit. Header indices run from 0 to `USR_HDR_MAX` - 1; the accessors
 * throw a RangeError outside of them.
 */
export class UsrHdrPage {
  /** The page as words, for `Atomics.wait` and for comparing identity. */
  readonly words: Int32Array;
  readonly #headers: Int32Array;
  readonly #shared: boolean;

  /** Over the first 4096 bytes of `words`; throws a RangeError where there are fewer. */
  constructor(words: Int32Array) {
    if (kindOf(words) !== "Int32Array") {
      throw new TypeError(
        `Cannot read page 0: must be an Int32Array: current value is ${textOf(words)}`,
      );
    }
    if (words.length < PAGE_WORDS) {
      throw new RangeError(
        `Cannot read page 0: must be at least ${PAGE_WORDS} words: ` +
          `current value is ${words.length}`,
      );
    }
    this.words = words.length === PAGE_WORDS ? words : words.subarray(0, PAGE_WORDS);
    this.#headers = this.words.subarray(FIRST);
    this.#shared = words.buffer instanceof SharedArrayBuffer;
  }

  /** `poll_value`: one of `POLL_VALUE_*`. */
  get pollValue(): number {
    return this.#loadPref(POLL_VALUE);
  }

  /** `hdr_num`: data pages that the last call mapped. */
  get hdrNum(): number {
    return this.#loadPref(HDR_NUM);
  }

  /** `length` of header `index`: payload bytes of that packet, 0 for the end mark. */
  headerLength(index: number): number {
    return this.#load(LENGTH + index * STRIDE);
  }

  /** `flags` of header `index`: `VIRTIO_VSOCK_SEQ_EOM` and `VIRTIO_VSOCK_SEQ_EOR`. */
  headerFlags(index: number): number {
    return this.#load(FLAGS + index * STRIDE);
  }

  /**
   * Atomic where another thread of JavaScript writes. The kernel's page 0 is mapped without
   * PROT_WRITE, and JavaScriptCore compiles `Atomics.load` to a locked addition of 0: a store,
   * which such a page answers with SIGSEGV. There a plain load does: the call that fills the page
   * in, or the one that follows a look at `poll_value`, orders it.
   */
  #loadPref(word: number): number {
    if (this.#shared) return Atomics.load(this.words, word) >>> 0;
    const value = this.words[word];
    if (value === undefined) {
      throw new RangeError("Cannot read page 0: must be mapped: current value is no words");
    }
    return value >>> 0;
  }

  /** A plain load, which no engine may repeat; the atomic one of `hdr_num` before it orders it. */
  #load(word: number): number {
    const value = this.#headers[word];
    if (value === undefined) {
      throw new RangeError(`Cannot read header: must be within page 0: current word is ${word}`);
    }
    return value >>> 0;
  }

  /**
   * For writers: fills header `index`. Headers first, then `hdr_num`, then `poll_value`: plain
   * stores, which the atomic one of `hdr_num` publishes.
   */
  setHeader(index: number, length: number, flags: number): void {
    if (!(index >= 0 && index < USR_HDR_MAX)) {
      throw new RangeError(
        `Cannot set header: must be from 0 to ${USR_HDR_MAX - 1}: current value is ${index}`,
      );
    }
    this.#headers[LENGTH + index * STRIDE] = length;
    this.#headers[FLAGS + index * STRIDE] = flags;
  }

  /** For writers: sets `hdr_num`. */
  setHdrNum(pages: number): void {
    Atomics.store(this.words, HDR_NUM, pages | 0);
  }

  /** For writers: sets `poll_value`. */
  storePollValue(value: number): void {
    Atomics.store(this.words, POLL_VALUE, value | 0);
  }

  /**
   * For writers: sets `poll_value` to `value` if it is `expected`, and gives what it was before.
   * So nobody overwrites a `POLL_VALUE_CLOSED` that came in between.
   */
  swapPollValue(expected: number, value: number): number {
    return Atomics.compareExchange(this.words, POLL_VALUE, expected | 0, value | 0) >>> 0;
  }
}
