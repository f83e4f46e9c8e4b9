/**
 * A receive mapping of a kernel socket.
 *
 * @module
 */
import { PROT_READ } from "../../ffi/abi/mman.ts";
import {
  POLL_VALUE_EMPTY,
  SO_VM_SOCKETS_MAP_RX,
  USR_PAGE_SIZE,
  UsrHdrPage,
} from "../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { MappedRegion } from "../../ffi/memory.ts";
import type { RxMapping } from "../socket.ts";
import { whyNoPages } from "./pages.ts";

/** What the mapping asks of its socket. */
export interface MappedSocket {
  /** getsockopt(2); calls `filled()` after `SO_VM_SOCKETS_MAP_RX` with the mapping's address. */
  getsockopt(level: number, name: number, value: Uint8Array): number;
}

/**
 * Page 0 and data pages that the kernel fills. A touch of a data page that is not there ends the
 * process, so only those are lent which the last `mapRx()` has filled, until `advise()`.
 *
 * A view whose buffer was transferred away cannot be killed: `advise()` and `unmap()` then throw a
 * `StolenViewError`, the view keeps empty pages, and the socket receives by copy from there on,
 * since Linux maps a socket once.
 */
export class KernelMapping implements RxMapping {
  readonly address: number;
  readonly dataPages: number;
  readonly page0: Int32Array;
  readonly volatile = false;
  readonly spins = true;
  readonly #socket: MappedSocket;
  readonly #region: MappedRegion;
  readonly #headers: UsrHdrPage;
  readonly #optval: Uint8Array;
  /** Data pages from the first on that are there. */
  #present = 0;

  /** Maps `length` bytes of the socket `fd`: whole pages, or EINVAL, as over the loopback. */
  constructor(socket: MappedSocket, fd: number, length: number, prot: number) {
    if (length <= 0 || length % USR_PAGE_SIZE !== 0) throw new SysError("mmap", "EINVAL");
    if (whyNoPages() !== undefined) throw new SysError("mmap", "EOPNOTSUPP");
    const region = new MappedRegion(length, { fd, prot });
    this.#socket = socket;
    this.#region = region;
    this.address = region.address;
    this.dataPages = length / USR_PAGE_SIZE - 1;
    this.#optval = new Uint8Array(BigUint64Array.of(BigInt(this.address)).buffer);
    this.page0 = new Int32Array(
      // Nothing of a mapping without PROT_READ can be looked at, page 0 neither.
      prot & PROT_READ ? region.lend(0, USR_PAGE_SIZE).buffer : new ArrayBuffer(USR_PAGE_SIZE),
    );
    this.#headers = new UsrHdrPage(this.page0);
  }

  /** Whether it is mapped: not any more after `unmap()`, or after a view was transferred away. */
  get mapped(): boolean {
    return this.#region.address !== 0;
  }

  readable(): boolean {
    return !this.mapped || this.#headers.pollValue !== POLL_VALUE_EMPTY;
  }

  mapRx(): void {
    if (!this.mapped) throw new SysError("getsockopt", "EINVAL");
    this.#socket.getsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX, this.#optval);
  }

  /** After a `SO_VM_SOCKETS_MAP_RX` into this mapping: its pages stay until `advise()`. */
  filled(): void {
    const pages = this.#headers.hdrNum;
    if (pages <= this.dataPages) this.#present = Math.max(this.#present, pages);
  }

  lend(page: number, length: number): Uint8Array {
    const end = page + Math.ceil(length / USR_PAGE_SIZE);
    if (!(Number.isInteger(page) && page >= 0 && length >= 0 && end <= this.#present)) {
      throw new RangeError(
        `Cannot lend ${length} bytes of data page ${page}: must be what was mapped there: ` +
          `current value is ${this.#present} pages`,
      );
    }
    return this.#region.lend((1 + page) * USR_PAGE_SIZE, length);
  }

  advise(): void {
    if (!this.mapped || this.dataPages === 0) return;
    this.#present = 0;
    this.#region.discard(USR_PAGE_SIZE, this.dataPages * USR_PAGE_SIZE);
  }

  unmap(): void {
    this.#present = 0;
    this.#region.unmap();
  }
}
