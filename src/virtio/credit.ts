/**
 * Credit: how much each end may send before the other has taken it, as `struct virtio_vsock_sock`
 * of the kernel counts it. All counters are unsigned 32-bit and wrap.
 *
 * @module
 */

/** What one queued packet costs beside its payload: the kernel's `SKB_TRUESIZE(0)` on x86-64. */
export const PACKET_OVERHEAD = 576;

/** The counters of one connection's end. */
export class Credit {
  /** Size of this end's receive buffer in bytes, as told to the peer. */
  bufAlloc: number;
  /** Payload bytes of packets that are queued and not fully drained. */
  bufUsed = 0;
  /** Payload bytes of packets that were fully drained. */
  fwdCnt = 0;
  /** The `fwdCnt` that the peer was told last. */
  lastFwdCnt = 0;
  /** Payload bytes sent. */
  txCnt = 0;
  /** The peer's receive buffer in bytes, as it told. */
  peerBufAlloc = 0;
  /** Payload bytes the peer has drained, as it told. */
  peerFwdCnt = 0;

  /** A fresh end with a receive buffer of `bufAlloc` bytes. */
  constructor(bufAlloc: number) {
    this.bufAlloc = bufAlloc;
  }

  /**
   * The most that may be on its way to the peer: its buffer, capped by our own, so that a peer
   * cannot make us queue more than this end was set up for.
   */
  txBufSize(): number {
    return Math.min(this.peerBufAlloc, this.bufAlloc);
  }

  /** Bytes that may be sent now. */
  space(): number {
    const onTheWay = (this.txCnt - this.peerFwdCnt) >>> 0;
    return Math.max(0, this.txBufSize() - onTheWay);
  }

  /** Takes credit for `n` bytes, which `space()` covers. */
  take(n: number): void {
    this.txCnt = (this.txCnt + n) >>> 0;
  }

  /** Learns what the peer put into a header. */
  learn(bufAlloc: number, fwdCnt: number): void {
    this.peerBufAlloc = bufAlloc;
    this.peerFwdCnt = fwdCnt;
  }

  /** Whether one more packet of `len` bytes fits behind `queued` others: payload and overhead. */
  fits(len: number, queued: number): boolean {
    return this.bufUsed + len <= this.bufAlloc && (queued + 1) * PACKET_OVERHEAD <= this.bufAlloc;
  }

  /** A packet of `len` bytes was queued. */
  queued(len: number): void {
    this.bufUsed += len;
  }

  /** A packet of `len` bytes was fully drained. */
  drained(len: number): void {
    this.bufUsed -= len;
    this.fwdCnt = (this.fwdCnt + len) >>> 0;
  }

  /** Payload bytes of drained packets that the peer was not told of: `fwd_cnt_delta`. */
  untold(): number {
    return (this.fwdCnt - this.lastFwdCnt) >>> 0;
  }

  /** What the peer believes to be free of this end's buffer; it wraps where that has shrunk. */
  free(): number {
    return (this.bufAlloc - this.untold()) >>> 0;
  }

  /** How much the peer may still send once all that it has sent is here. */
  believed(): number {
    return this.txBufSize() - this.untold() - this.bufUsed;
  }
}
