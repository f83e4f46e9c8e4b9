/**
 * Receive by mapping over TCP, as every released kernel has it: `TCP_ZEROCOPY_RECEIVE`.
 *
 * @module
 */
import { IPPROTO_TCP } from "../../ffi/abi/in.ts";
import { POLLIN } from "../../ffi/abi/poll.ts";
import {
  TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT,
  TCP_ZEROCOPY_RECEIVE,
  TcpZerocopyReceive,
} from "../../ffi/abi/tcp.ts";
import { USR_HDR_MAX, USR_PAGE_SIZE } from "../../ffi/abi/virtio_vsock_usr.ts";
import { isSysError } from "../../ffi/errno.ts";
import type { MappedRegion } from "../../ffi/memory.ts";
import type { Address } from "../address.ts";
import { VsockError } from "../error.ts";
import { whyNoPages } from "../kernel/pages.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import { noteEndError, recvConnected } from "../conn/recv.ts";
import { WOULD_BLOCK } from "../socket.ts";
import { CopyBuffer } from "./copy_buffer.ts";
import { type Lender, LentBatch } from "./lent_batch.ts";
import type { Source } from "./source.ts";
import { UsrHeaders } from "./usr_hdr.ts";

/** Calls in a row that map nothing after which all that is queued is copied at once. */
const MOST_VAIN = 8;

/**
 * Batches are the whole pages that the bytes arrived in, and copies of what lies between those, all
 * in order. A packet is a run of such pages, or one such copy. Where nothing can be mapped, as by a
 * sender that does not lend its pages or of segments that are no whole pages, all is copied.
 *
 * While more is queued, the pages of a released batch are given back by the next dequeue, as a part
 * of the call that maps; nobody has a view of them by then. Else the release itself does that.
 *
 * What `SO_RCVLOWAT` waits for comes in one batch, as far as there is room.
 *
 * A view whose buffer was transferred away cannot be killed: the release then throws a
 * `StolenViewError`, the view keeps empty pages, and all is copied from there on.
 */
export class TcpSource implements Source, Lender {
  readonly mapped = true;
  readonly volatile = false;
  readonly spins = false;
  readonly #socket: KernelSocket<Address>;
  readonly #region: MappedRegion;
  readonly #pages: number;
  readonly #copies: CopyBuffer;
  readonly #headers: UsrHeaders = new UsrHeaders();
  readonly #call: TcpZerocopyReceive = new TcpZerocopyReceive();
  /** Pages from the first on that the open batch has of the mapping, and of the copies. */
  #mappedPages = 0;
  #copiedPages = 0;
  /** Pages from the first on that batches before had, and that are not given back yet. */
  #stalePages = 0;
  /** Whether more was queued than the last dequeue took. */
  #more = false;
  /** Calls in a row that have mapped nothing. */
  #vain = 0;

  /**
   * Maps `pages` pages of `socket`.
   *
   * @throws {VsockError} `EOPNOTSUPP` where pages are not of 4096 bytes.
   * @throws {SysError} `ENODEV` where the kernel does not map TCP, `ENOMEM`.
   */
  constructor(socket: KernelSocket<Address>, pages: number) {
    const hint = whyNoPages();
    if (hint !== undefined) throw new VsockError("mmap", "EOPNOTSUPP", { hint });
    this.#socket = socket;
    this.#pages = pages;
    this.#region = socket.mapPages(pages * USR_PAGE_SIZE);
    this.#copies = new CopyBuffer(pages * USR_PAGE_SIZE);
  }

  readable(): boolean {
    return this.#socket.poll(POLLIN) !== 0;
  }

  dequeue(): LentBatch | null | undefined {
    this.#headers.clear();
    this.#copiedPages = 0;
    let end: null | undefined;
    try {
      end = this.#fill();
    } catch (error) {
      // Else what came before it is here: the next one gets it, as every later call does.
      if (this.#headers.count === 0) throw error;
    }
    if (this.#headers.count > 0) return new LentBatch(this.#headers, this);
    this.discardStale();
    return end;
  }

  /** Takes what is queued, as far as there is room; `null` at end of stream. */
  #fill(): null | undefined {
    for (;;) {
      const room = this.#pages - this.#headers.pages;
      if (room === 0 || this.#headers.count > USR_HDR_MAX - 2) return undefined;
      const mapped = this.#map(room);
      this.#vain = mapped === 0 ? this.#vain + 1 : 0;
      const { recvSkipHint: gap, inq } = this.#call;
      const all = this.#vain > MOST_VAIN;
      let copied = 0;
      if (mapped === 0 && gap === 0) {
        this.#more = false;
        if (this.#headers.count > 0) return undefined;
        return this.#copy(room * USR_PAGE_SIZE) === 0 ? null : undefined;
      } else if (gap > 0 && room > Math.ceil(mapped / USR_PAGE_SIZE)) {
        const left = room * USR_PAGE_SIZE - mapped;
        copied = this.#copy(all ? left : Math.min(gap, left));
      }
      this.#more = inq > copied;
      if (!this.#more || (gap > 0 && (all || copied <= 0))) return undefined;
    }
  }

  /** Maps at most `room` pages behind those that are there: bytes, 0 where the next cannot be. */
  #map(room: number): number {
    const { address } = this.#region;
    const start = this.#mappedPages * USR_PAGE_SIZE;
    this.#call.ask(address + start, room * USR_PAGE_SIZE);
    if (address === 0) return 0; // given up, as a view was transferred away
    // Without this flag the call gives back what is stale there.
    if (this.#stalePages === 0) this.#call.flags = TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT;
    try {
      this.#socket.getsockopt(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, this.#call.bytes);
    } catch (error) {
      // EIO: end of stream, of which recv(2) tells more. EINVAL: Linux before 5.7 knows the first
      // members alone, and takes no longer struct.
      if (!isSysError(error, "EIO") && !isSysError(error, "EINVAL")) throw error;
      return 0;
    }
    const { length, err } = this.#call;
    if (err !== 0) noteEndError(this.#socket, Math.abs(err));
    if (length > 0) {
      this.#headers.add(length, 0, this.#mappedPages, true);
      this.#mappedPages += length / USR_PAGE_SIZE;
    }
    return length;
  }

  /** Copies at most `most` bytes: how many, 0 at end of stream, or `WOULD_BLOCK`. */
  #copy(most: number): number {
    const start = this.#copiedPages * USR_PAGE_SIZE;
    const length = recvConnected(
      this.#socket,
      this.#copies.bytes.subarray(start, start + most),
      0,
    );
    if (length === WOULD_BLOCK || length === 0) return length;
    this.#headers.add(length, 0, this.#pages + this.#copiedPages, false);
    this.#copiedPages += Math.ceil(length / USR_PAGE_SIZE);
    return length;
  }

  lend(page: number, length: number): Uint8Array {
    return page < this.#pages
      ? this.#region.lend(page * USR_PAGE_SIZE, length)
      : this.#copies.lend((page - this.#pages) * USR_PAGE_SIZE, length);
  }

  reclaim(): void {
    this.#copies.reclaim();
    const mapped = this.#mappedPages;
    this.#stalePages = Math.max(this.#stalePages, mapped);
    this.#mappedPages = 0;
    if (this.#more && mapped > 0) this.#region.releaseAll();
    else this.discardStale();
  }

  discardStale(): void {
    const length = this.#stalePages * USR_PAGE_SIZE;
    this.#stalePages = 0;
    if (length > 0 && this.#region.address !== 0) this.#region.discard(0, length);
  }

  close(): void {
    this.#copies.free();
    this.#region.unmap();
  }
}
