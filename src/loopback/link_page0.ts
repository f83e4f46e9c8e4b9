/**
 * Page 0 between two threads: `poll_value` is set by the thread that sends, so that the one that
 * receives can spin on it without a call.
 *
 * The receiver lends a block to the sender as page 0 of one connection. Beside it lie two words:
 * the receiver says by a threshold from which count of sent bytes on `poll_value` is to be 1, and
 * the sender how many it has sent. All are read and written by Atomics alone, in this order:
 *
 *     receiver                            sender, for each packet
 *     R1  store the threshold             S1  publish the packet, store the count
 *     R2  poll_value 1 -> 0               S2  load the threshold
 *     R3  load the count                  S3  where reached: poll_value 0 -> 1
 *     R4  where reached: 0 -> 1
 *
 * No wake-up is lost. Atomics are sequentially consistent, so there is one order of them all. If S1
 * is before R3, the receiver sees the count and R4 makes up for R2. If R3 is before S1, then R1 and
 * R2 are before S2 and S3: the sender sees the new threshold and its 1 comes after the 0. A sender
 * that skips S3 because it loads a 1 does so before R2, so S1 is before R3.
 *
 * When the sender learns of a page 0 it does S1 to S3 at once, for the packets it sent before. A
 * sender with an old threshold may put a 1 that is no longer due: the receiver finds nothing,
 * settles, and waits again. ~0 is never replaced, since both sides change only 0 and 1.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
} from "../../ffi/abi/virtio_vsock.ts";
import {
  POLL_VALUE_DATA,
  POLL_VALUE_EMPTY,
  USR_PAGE_SIZE,
} from "../../ffi/abi/virtio_vsock_usr.ts";
import type { Header } from "../virtio/packet.ts";

/** `POLL_VALUE_CLOSED` as the word of an Int32Array. */
const CLOSED = -1;

/** Page 0 of one connection, at its receiver. */
export interface Page0 {
  /** The 1024 words of the page. Word 0 is `poll_value`: spin on it by `Atomics.load`. */
  readonly words: Int32Array;
  /**
   * Sets `poll_value` after a dequeue: to ~0 where `closed`, else 1 where the peer has sent `at`
   * payload bytes, counted modulo 2^32, and 0 where not. Then the peer sets it once it has.
   */
  settle(at: number, closed: boolean): void;
  /** The connection has no page 0 any more. The words stay readable, and mean nothing. */
  close(): void;
}

/** Words beside each block, for when it is a page 0: a pair of cache lines for each that counts. */
export const ARM_WORDS = 64;
/** The receiver's threshold, a count of bytes modulo 2^32. */
export const THRESHOLD = 0;
/** Bytes that the sender has sent, modulo 2^32. */
export const SENT = 32;

/** The receiver's side of a page 0. */
export class OwnPage0 implements Page0 {
  readonly words: Int32Array;
  readonly #arms: Int32Array;
  readonly #block: number;
  readonly #forget: (block: number) => void;
  #open = true;

  /**
   * In the block numbered `block`, whose bytes are `page`; 1 from `at` sent bytes on, where
   * `received` have arrived. `forget` tells the peer that it is no more.
   */
  constructor(
    page: Uint8Array,
    arms: Int32Array,
    block: number,
    at: number,
    received: number,
    forget: (block: number) => void,
  ) {
    this.words = wordsOf(page);
    this.#arms = arms;
    this.#block = block;
    this.#forget = forget;
    Atomics.store(arms, block * ARM_WORDS + THRESHOLD, at);
    Atomics.store(arms, block * ARM_WORDS + SENT, received); // until the peer knows of us
  }

  settle(at: number, closed: boolean): void {
    if (!this.#open) return;
    if (closed) return this.end();
    const first = this.#block * ARM_WORDS;
    Atomics.store(this.#arms, first + THRESHOLD, at);
    Atomics.compareExchange(this.words, 0, POLL_VALUE_DATA, POLL_VALUE_EMPTY);
    if (((Atomics.load(this.#arms, first + SENT) - at) | 0) < 0) return;
    Atomics.compareExchange(this.words, 0, POLL_VALUE_EMPTY, POLL_VALUE_DATA);
  }

  /** Nothing more will be received. */
  end(): void {
    if (this.#open) Atomics.store(this.words, 0, CLOSED);
  }

  /** Whoever spins on it sees that, and asks the socket. */
  close(): void {
    if (!this.#open) return;
    this.end();
    this.#open = false;
    this.#forget(this.#block);
  }
}

/** The sender's side of a page 0. */
class PeerPage0 {
  readonly block: number;
  readonly flow: Flow | undefined;
  readonly #word: Int32Array;
  readonly #arms: Int32Array;

  constructor(flow: Flow | undefined, page: Uint8Array, arms: Int32Array, block: number) {
    this.flow = flow;
    this.block = block;
    this.#word = wordsOf(page);
    this.#arms = arms;
  }

  /** `txCnt` bytes have been sent: whether that is what the receiver waits for. */
  sent(txCnt: number): boolean {
    const first = this.block * ARM_WORDS;
    Atomics.store(this.#arms, first + SENT, txCnt);
    const at = Atomics.load(this.#arms, first + THRESHOLD);
    if (((txCnt - at) | 0) < 0) return false;
    if (Atomics.load(this.#word, 0) === POLL_VALUE_EMPTY) {
      Atomics.compareExchange(this.#word, 0, POLL_VALUE_EMPTY, POLL_VALUE_DATA);
    }
    return true;
  }

  end(): void {
    Atomics.store(this.#word, 0, CLOSED);
  }
}

/** What one connection has sent. */
interface Flow {
  readonly srcPort: number;
  readonly dstPort: number;
  /** Payload bytes, modulo 2^32. */
  txCnt: number;
  /** What the receiver was told of our buffer last. */
  fwdCnt: number;
  bufAlloc: number;
  page: PeerPage0 | undefined;
}

/** The connections that this end sends on, and the page 0s that the peer has for them. */
export class Flows {
  /** By our port, then by the peer's. */
  readonly #flows = new Map<number, Map<number, Flow>>();
  readonly #pages = new Map<number, PeerPage0>();
  #last: Flow | undefined;

  /**
   * A packet has been published: whether a receiver that sleeps has to be woken. Not where it takes
   * data from a page 0, has not got as much as it waits for, and learns of no new credit either.
   */
  sent(header: Header): boolean {
    if (header.op === VIRTIO_VSOCK_OP_RW) return this.#sentData(header);
    this.#sentOther(header);
    return true;
  }

  #sentData({ srcPort, dstPort, len, fwdCnt, bufAlloc }: Header): boolean {
    const flow = this.#find(srcPort, dstPort);
    if (flow === undefined) return true;
    flow.txCnt = (flow.txCnt + len) | 0;
    const news = flow.fwdCnt !== fwdCnt || flow.bufAlloc !== bufAlloc;
    flow.fwdCnt = fwdCnt;
    flow.bufAlloc = bufAlloc;
    return flow.page === undefined || flow.page.sent(flow.txCnt) || news;
  }

  #sentOther({ op, srcPort, dstPort, flags, fwdCnt, bufAlloc }: Header): void {
    if (op === VIRTIO_VSOCK_OP_REQUEST || op === VIRTIO_VSOCK_OP_RESPONSE) {
      this.end(srcPort, dstPort);
      this.#add({ srcPort, dstPort, txCnt: 0, fwdCnt, bufAlloc, page: undefined });
    } else if (op === VIRTIO_VSOCK_OP_RST) {
      this.end(srcPort, dstPort);
    } else if (op === VIRTIO_VSOCK_OP_SHUTDOWN && (flags & VIRTIO_VSOCK_SHUTDOWN_SEND) !== 0) {
      this.end(srcPort, dstPort);
    }
  }

  /** Nothing more is sent from `srcPort` to `dstPort`. */
  end(srcPort: number, dstPort: number): void {
    const flow = this.#find(srcPort, dstPort);
    if (flow === undefined) return;
    flow.page?.end();
    this.#last = undefined;
    const flows = this.#flows.get(srcPort)!;
    flows.delete(dstPort);
    if (flows.size === 0) this.#flows.delete(srcPort);
  }

  /** The peer has `page` as page 0 of the connection from `srcPort` to `dstPort`. */
  open(srcPort: number, dstPort: number, page: Uint8Array, arms: Int32Array, block: number): void {
    const flow = this.#find(srcPort, dstPort);
    const opened = new PeerPage0(flow, page, arms, block);
    this.#pages.set(block, opened);
    if (flow === undefined) {
      opened.end();
    } else {
      flow.page = opened;
      opened.sent(flow.txCnt);
    }
  }

  /** The page 0 in `block` is no more: whether there was one. Nothing is written to it again. */
  close(block: number): boolean {
    const page = this.#pages.get(block);
    if (page === undefined) return false;
    if (page.flow?.page === page) page.flow.page = undefined;
    return this.#pages.delete(block);
  }

  /** This end sends nothing more. */
  endAll(): void {
    for (const page of this.#pages.values()) page.end();
  }

  #add(flow: Flow): void {
    const flows = this.#flows.get(flow.srcPort) ?? new Map<number, Flow>();
    this.#flows.set(flow.srcPort, flows.set(flow.dstPort, flow));
  }

  #find(srcPort: number, dstPort: number): Flow | undefined {
    const last = this.#last;
    if (last?.srcPort === srcPort && last.dstPort === dstPort) return last;
    return this.#last = this.#flows.get(srcPort)?.get(dstPort);
  }
}

function wordsOf(page: Uint8Array): Int32Array {
  return new Int32Array(page.buffer, 0, USR_PAGE_SIZE / 4);
}
