/**
 * The state of one socket, as `struct vsock_sock` of the kernel has it, and what poll(2) sees.
 *
 * @module
 */
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from "../../ffi/abi/poll.ts";
import { VIRTIO_VSOCK_TYPE_SEQPACKET } from "../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import type { Carrier } from "./carrier.ts";
import { Credit } from "./credit.ts";
import { RxQueue } from "./rx_queue.ts";
import type { Timer } from "./timers.ts";

/** `sk_state`: what the protocol is doing. */
export type SkState = "close" | "listen" | "syn_sent" | "established" | "closing";
/** `sock->state`: what the user's calls have led to. */
export type SsState = "unconnected" | "connecting" | "connected" | "disconnecting";

/** `RCV_SHUTDOWN`: no more is received. */
export const RCV_SHUTDOWN = 1;
/** `SEND_SHUTDOWN`: no more is sent. */
export const SEND_SHUTDOWN = 2;
/** Both directions. */
export const SHUTDOWN_MASK = 3;

/** These three are the kernel's, `VSOCK_DEFAULT_*` of net/vmw_vsock/af_vsock.c. */
const DEFAULT_BUFFER_SIZE = 256 * 1024;
const DEFAULT_BUFFER_MIN_SIZE = 128;
/** Milliseconds. */
export const DEFAULT_CONNECT_TIMEOUT_MS = 2_000;

/** A CID and a port; `VMADDR_*_ANY` until set. */
export interface SockAddr {
  cid: number;
  port: number;
}

/** Page 0 of a receive mapping, told whenever its socket's readiness may have changed. */
export interface PollPage {
  /** Sets `poll_value`: the socket is readable, and no more will be queued. */
  settle(readable: boolean, closed: boolean): void;
}

/** One socket. Plain state: `connection.ts` and `calls.ts` change it. */
export class VsockSock {
  /** `VIRTIO_VSOCK_TYPE_*`. */
  readonly type: number;
  local: SockAddr = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };
  remote: SockAddr = { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY };
  state: SkState = "close";
  ss: SsState = "unconnected";
  /** Our own shutdowns: `RCV_SHUTDOWN`, `SEND_SHUTDOWN`. */
  shutdown = 0;
  /** The peer's. */
  peerShutdown = 0;
  /** `SOCK_DONE`: the connection is over. */
  done = false;
  /** `SOCK_DEAD`: the user has closed the socket. */
  dead = false;
  /** `sk_err`: the pending errno; 0 for none. */
  error = 0;
  /** The way to the peer: `vsk->transport`. Set from the first connect(2) on. */
  carrier: Carrier | undefined;
  /** The `epoch` of the carrier when the connection began. */
  epoch: number | undefined;
  /** Counters of the connection. */
  credit: Credit = new Credit(DEFAULT_BUFFER_SIZE);
  /** What has arrived. */
  rx: RxQueue = new RxQueue(this.credit);
  /** Bytes that the carrier has not delivered yet: `SIOCOUTQ`. */
  bytesUnsent: number = 0;
  /** Bytes of credit that the send which was refused last needs. */
  wantSpace = 1;
  /** A send was refused because the carrier had no memory. */
  wantRoom = false;
  bufferSize: number = DEFAULT_BUFFER_SIZE;
  bufferMinSize: number = DEFAULT_BUFFER_MIN_SIZE;
  bufferMaxSize: number = DEFAULT_BUFFER_SIZE;
  connectTimeoutMs: number = DEFAULT_CONNECT_TIMEOUT_MS;
  rcvlowat = 1;
  /** `SO_VM_SOCKETS_ZEROCOPY`. */
  zerocopy = false;
  /** `SO_ZEROCOPY`. */
  txZerocopy = false;
  /** Connections that wait for accept(2), on a listener. */
  readonly acceptQueue: VsockSock[] = [];
  backlog = 0;
  connectTimer: Timer | undefined;
  closeTimer: Timer | undefined;
  /** Page 0, once the socket is mapped. */
  page: PollPage | undefined;
  /** Called whenever what poll(2) sees may have changed; set while somebody waits. */
  wake: (() => void) | undefined;

  constructor(type: number) {
    this.type = type;
  }

  /** Whether messages keep their bounds. */
  get seqpacket(): boolean {
    return this.type === VIRTIO_VSOCK_TYPE_SEQPACKET;
  }

  /** Whether bind(2) has given it a port. */
  get bound(): boolean {
    return this.local.port !== VMADDR_PORT_ANY;
  }

  /** Whether nothing more will be queued for receive. */
  get rxClosed(): boolean {
    return ((this.shutdown & RCV_SHUTDOWN) | (this.peerShutdown & SEND_SHUTDOWN)) !== 0 ||
      this.done;
  }

  /** Whether recv(2) has what SO_RCVLOWAT asks for; for SEQPACKET a whole message too. */
  get readable(): boolean {
    return this.rx.rxBytes >= this.rcvlowat && (!this.seqpacket || this.rx.msgCount > 0);
  }

  /** Tells page 0. */
  settle(): void {
    this.page?.settle(this.readable, this.rxClosed);
  }

  /** Tells who waits, and page 0. */
  changed(): void {
    this.settle();
    this.wake?.();
  }

  /** All events of poll(2) that hold; the rules of the kernel's `vsock_poll()`. */
  poll(): number {
    let mask = this.error !== 0 ? POLLERR : 0;
    if (this.state === "listen" && this.acceptQueue.length > 0) mask |= POLLIN | POLLRDNORM;
    const { shutdown, peerShutdown } = this;
    if (this.carrier !== undefined && !(shutdown & RCV_SHUTDOWN) && this.readable) {
      mask |= POLLIN | POLLRDNORM;
    }
    if (shutdown === SHUTDOWN_MASK || (shutdown & peerShutdown & SEND_SHUTDOWN)) mask |= POLLHUP;
    if ((shutdown & RCV_SHUTDOWN) || (peerShutdown & SEND_SHUTDOWN)) {
      mask |= POLLRDHUP | POLLIN | POLLRDNORM;
    }
    if (!(shutdown & SEND_SHUTDOWN) && this.#writable()) mask |= POLLOUT | POLLWRNORM;
    return mask;
  }

  #writable(): boolean {
    if (this.state === "close" || this.state === "closing") return true;
    if (this.state !== "established") return false;
    if (this.peerShutdown & RCV_SHUTDOWN) return this.credit.space() > 0;
    const { credit, wantSpace } = this;
    // What will never fit is refused as soon as there is any credit.
    return !this.wantRoom && credit.space() >= (wantSpace > credit.txBufSize() ? 1 : wantSpace);
  }
}
