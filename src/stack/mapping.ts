/**
 * A receive mapping of a socket over a stack: page 0 and slots for pages, without any page table.
 *
 * @module
 */
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../ffi/abi/mman.ts";
import {
  POLL_VALUE_EMPTY,
  USR_HDR_MAX,
  USR_PAGE_SIZE,
  UsrHdrPage,
} from "../../ffi/abi/virtio_vsock_usr.ts";
import { SysError } from "../../ffi/errno.ts";
import type { RxMapping } from "../socket.ts";
import { tellCredit } from "../virtio/connection.ts";
import { pagesOf, type Piece } from "../virtio/rx_queue.ts";
import type { VsockSock } from "../virtio/sock.ts";
import type { Stack } from "../virtio/stack.ts";
import type { RxPage, StackNode } from "./node.ts";

/** Numbers that stand for pointers: far from 0, and no two mappings of a thread share one. */
let nextAddress = 0x1000_0000;

/** What the mapping asks of its socket. */
export interface MappingOwner {
  readonly sock: VsockSock;
  /** The whole of `getsockopt(SO_VM_SOCKETS_MAP_RX)` for `address`. */
  mapRx(address: number): void;
}

/** Pieces of packets in the slots, and the views of them. */
export class StackMapping implements RxMapping {
  readonly address: number;
  readonly dataPages: number;
  readonly page0: Int32Array;
  readonly volatile: boolean;
  readonly spins: boolean;
  readonly #owner: MappingOwner;
  readonly #node: StackNode;
  readonly #headers: UsrHdrPage;
  #pieces: Piece[] = [];
  #mapped = true;
  /** Where the last view was found: views are asked for in order. */
  #at = 0;
  #atPage = 0;

  constructor(node: StackNode, owner: MappingOwner, length: number, page: RxPage) {
    this.#node = node;
    this.#owner = owner;
    this.page0 = page.words;
    this.#headers = new UsrHdrPage(page.words);
    this.volatile = page.volatile;
    this.spins = page.spins;
    this.dataPages = length / USR_PAGE_SIZE - 1;
    this.address = nextAddress;
    nextAddress += length + USR_PAGE_SIZE;
  }

  /** Whether `unmap()` has not been called. */
  get mapped(): boolean {
    return this.#mapped;
  }

  readable(): boolean {
    if (this.#headers.pollValue === POLL_VALUE_EMPTY && !this.#node.looks) return false;
    this.#node.pump(this.#owner.sock.carrier);
    return this.#headers.pollValue !== POLL_VALUE_EMPTY;
  }

  mapRx(): void {
    this.#owner.mapRx(this.address);
  }

  /** Fills the slots and page 0: headers, end marker, `hdr_num`. EBUSY where slots are taken. */
  fill(): void {
    const { sock } = this.#owner;
    if (this.#pieces.length > 0 && sock.rx.length > 0) throw new SysError("getsockopt", "EBUSY");
    const pieces: Piece[] = [];
    sock.rx.map(this.dataPages, pieces);
    const headers = this.#headers;
    let pages = 0;
    for (let i = 0; i < pieces.length; i++) {
      const { length, flags } = pieces[i]!;
      headers.setHeader(i, length, flags);
      pages += pagesOf(length);
    }
    if (pieces.length < USR_HDR_MAX) headers.setHeader(pieces.length, 0, 0);
    headers.setHdrNum(pages);
    sock.settle();
    if (pieces.length > 0) this.#pieces = pieces;
    this.#at = 0;
    this.#atPage = 0;
    giveCredit(this.#node.stack, sock);
  }

  lend(page: number, length: number): Uint8Array {
    const pieces = this.#pieces;
    if (page < this.#atPage) this.#at = this.#atPage = 0;
    while (this.#at < pieces.length && this.#atPage < page) {
      this.#atPage += pagesOf(pieces[this.#at++]!.length);
    }
    const piece = pieces[this.#at];
    if (piece === undefined || this.#atPage !== page || !(length <= piece.length) || length < 0) {
      throw new RangeError(
        `Cannot lend ${length} bytes of data page ${page}: must be what was mapped there`,
      );
    }
    const view = piece.view();
    return length === view.length ? view : view.subarray(0, length);
  }

  advise(): void {
    if (this.#pieces.length === 0) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#at = this.#atPage = 0;
    const { sock } = this.#owner;
    const { fwdCnt } = sock.credit;
    this.#node.freeTogether(() => {
      for (let i = 0; i < pieces.length; i++) pieces[i]!.release();
    });
    if (sock.credit.fwdCnt !== fwdCnt) giveCredit(this.#node.stack, sock);
  }

  unmap(): void {
    this.advise();
    this.#mapped = false;
  }
}

/** As recv(2) on a stream does; of pages that were the peer's own, when they are released. */
function giveCredit(stack: Stack, sock: VsockSock): void {
  if (sock.state === "established" && !sock.done && !sock.dead) tellCredit(stack, sock);
}

/** The checks of mmap(2) on a socket, in the order of the receive ABI. */
export function requireMappable(sock: VsockSock, length: number, prot: number): void {
  if (prot & (PROT_WRITE | PROT_EXEC)) throw new SysError("mmap", "EPERM");
  if (!(prot & PROT_READ) && prot !== 0) throw new SysError("mmap", "EINVAL");
  if (sock.carrier === undefined) throw new SysError("mmap", "EOPNOTSUPP");
  if (sock.page !== undefined) throw new SysError("mmap", "EBUSY");
  if (length <= 0 || length % USR_PAGE_SIZE !== 0) throw new SysError("mmap", "EINVAL");
}
