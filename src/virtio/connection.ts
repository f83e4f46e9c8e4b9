/**
 * The state machine of a connection: what arriving packets and deadlines do to a socket. Follows
 * `virtio_transport_recv_pkt()` and its helpers in the kernel's `virtio_transport_common.c`.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_INVALID,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
} from "../../ffi/abi/virtio_vsock.ts";
import { ERRNO } from "../../ffi/errno.ts";
import { Credit } from "./credit.ts";
import type { Packet, Payload } from "./packet.ts";
import { RxQueue } from "./rx_queue.ts";
import { RCV_SHUTDOWN, SEND_SHUTDOWN, SHUTDOWN_MASK, VsockSock } from "./sock.ts";
import type { Stack } from "./stack.ts";

/** How long close(2) waits for the peer to agree before it resets the connection. */
const CLOSE_TIMEOUT_MS = 8_000;
/** How many wait for one peer that is not trusted: with one more, the oldest waits no longer. */
const CLOSING_MAX = 1_024;
const U32_MAX = 0xffff_ffff;

/** Sends one packet of `sock`; every packet carries what the peer has to know of our credit. */
export function emit(
  stack: Stack,
  sock: VsockSock,
  op: number,
  flags = 0,
  payload?: Payload,
): void {
  const { credit, carrier } = sock;
  if (sock.epoch !== carrier!.epoch) return; // the peer knows nothing of it
  const len = payload === undefined ? 0 : payload.bytes.length;
  credit.lastFwdCnt = credit.fwdCnt;
  credit.take(len);
  sock.bytesUnsent += len;
  carrier!.send({
    srcCid: stack.sourceCid(sock),
    dstCid: sock.remote.cid,
    srcPort: sock.local.port,
    dstPort: sock.remote.port,
    len,
    type: sock.type,
    op,
    flags,
    bufAlloc: credit.bufAlloc,
    fwdCnt: credit.fwdCnt,
    payload,
    owner: payload === undefined ? undefined : sock,
  });
}

/** Tells the peer about credit only where it may run short, or where the reader waits for more. */
export function tellCredit(stack: Stack, sock: VsockSock): void {
  if (sock.credit.untold() > 0 && stack.host.tellsCredit(sock)) {
    emit(stack, sock, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
  }
}

/** A packet for `sock` has arrived. */
export function receivePacket(stack: Stack, sock: VsockSock, packet: Packet): void {
  sock.credit.learn(packet.bufAlloc, packet.fwdCnt);
  switch (sock.state) {
    case "listen":
      receiveListen(stack, sock, packet);
      break;
    case "syn_sent":
      receiveConnecting(stack, sock, packet);
      break;
    case "established":
      receiveConnected(stack, sock, packet);
      break;
    case "closing":
      if (packet.op === VIRTIO_VSOCK_OP_RST) finishClose(stack, sock);
      packet.payload?.free();
      break;
    default:
      packet.payload?.free();
      stack.resetNoSock(packet);
  }
}

function receiveListen(stack: Stack, listener: VsockSock, packet: Packet): void {
  const carrier = stack.host.route(packet.srcCid);
  if (
    packet.op !== VIRTIO_VSOCK_OP_REQUEST || carrier === undefined ||
    (listener.seqpacket && carrier.seqpacket === false) ||
    listener.acceptQueue.length > listener.backlog
  ) {
    packet.payload?.free();
    stack.resetNoSock(packet);
    return;
  }
  const child = new VsockSock(listener.type);
  child.bufferSize = listener.bufferSize;
  child.bufferMinSize = listener.bufferMinSize;
  child.bufferMaxSize = listener.bufferMaxSize;
  child.connectTimeoutMs = listener.connectTimeoutMs;
  child.zerocopy = listener.zerocopy;
  child.local = { cid: packet.dstCid, port: packet.dstPort };
  child.remote = { cid: packet.srcCid, port: packet.srcPort };
  child.carrier = carrier;
  attach(child);
  child.state = "established";
  child.ss = "connected";
  child.credit.learn(packet.bufAlloc, packet.fwdCnt);
  stack.insertConnected(child);
  listener.acceptQueue.push(child);
  emit(stack, child, VIRTIO_VSOCK_OP_RESPONSE);
  listener.changed();
}

/** Accepts the REQUEST that `packet` is without a listener; `undefined` where it is refused. */
export function acceptRequest(stack: Stack, packet: Packet): VsockSock | undefined {
  const listener = new VsockSock(packet.type);
  receiveListen(stack, listener, packet);
  return listener.acceptQueue.shift();
}

function receiveConnecting(stack: Stack, sock: VsockSock, packet: Packet): void {
  if (packet.op === VIRTIO_VSOCK_OP_RESPONSE) {
    sock.state = "established";
    sock.ss = "connected";
    stack.insertConnected(sock);
  } else if (packet.op === VIRTIO_VSOCK_OP_INVALID) {
    return;
  } else {
    const refused = packet.op === VIRTIO_VSOCK_OP_RST;
    packet.payload?.free();
    if (!refused) emit(stack, sock, VIRTIO_VSOCK_OP_RST);
    sock.state = "close";
    sock.error = refused ? ERRNO.ECONNRESET : ERRNO.EPROTO;
  }
  stack.cancel(sock.connectTimer);
  sock.changed();
}

function receiveConnected(stack: Stack, sock: VsockSock, packet: Packet): void {
  switch (packet.op) {
    case VIRTIO_VSOCK_OP_RW:
      receiveData(stack, sock, packet);
      return;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
      tellCredit(stack, sock); // a peer whose own buffer is smaller now may send less than before
      break;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
      emit(stack, sock, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
      break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
      receiveShutdown(stack, sock, packet.flags);
      break;
    case VIRTIO_VSOCK_OP_RST:
      finishClose(stack, sock);
      return;
  }
  sock.changed();
}

function receiveData(stack: Stack, sock: VsockSock, packet: Packet): void {
  const { payload } = packet;
  // Nothing comes behind the end: once a packet was refused, there is a gap.
  if (payload === undefined || sock.dead || sock.peerShutdown & SEND_SHUTDOWN) {
    payload?.free();
    return sock.changed(); // it may bring credit
  }
  if (!sock.rx.push(payload, packet.flags)) {
    payload.free();
    sock.error = ERRNO.ENOBUFS;
    finishClose(stack, sock);
    stack.remove(sock);
    emit(stack, sock, VIRTIO_VSOCK_OP_RST);
    return;
  }
  sock.changed();
}

function receiveShutdown(stack: Stack, sock: VsockSock, flags: number): void {
  if (flags & VIRTIO_VSOCK_SHUTDOWN_RCV) sock.peerShutdown |= RCV_SHUTDOWN;
  if (flags & VIRTIO_VSOCK_SHUTDOWN_SEND) sock.peerShutdown |= SEND_SHUTDOWN;
  if (sock.peerShutdown !== SHUTDOWN_MASK) return;
  const empty = sock.rx.rxBytes <= 0;
  if (empty) finishClose(stack, sock);
  stack.remove(sock);
  if (empty) emit(stack, sock, VIRTIO_VSOCK_OP_RST);
}

/** `virtio_transport_do_close()`: the connection is over; what has arrived can still be read. */
function finishClose(stack: Stack, sock: VsockSock): void {
  sock.done = true;
  sock.peerShutdown = SHUTDOWN_MASK;
  if (sock.rx.rxBytes <= 0) sock.state = "closing";
  if (sock.closeTimer !== undefined) {
    stack.cancel(sock.closeTimer);
    sock.closeTimer = undefined;
    sock.carrier?.closing?.delete(sock);
    removeSock(stack, sock);
  }
  sock.changed();
}

/** The device was reset: what is connected, or is about to be, ends with ECONNRESET. */
export function resetByDevice(stack: Stack, sock: VsockSock): void {
  if (sock.state !== "established" && sock.state !== "syn_sent" && sock.state !== "closing") return;
  stack.cancel(sock.connectTimer);
  stack.cancel(sock.closeTimer);
  sock.carrier?.closing?.delete(sock);
  if (sock.state === "established" && sock.peerShutdown === SHUTDOWN_MASK) {
    return stack.remove(sock); // it was over before: what has come can still be read
  }
  sock.state = "close";
  sock.done = true;
  sock.peerShutdown = SHUTDOWN_MASK;
  sock.rx.clear(); // nobody can read it, and the peer's own memory may be in it
  if (!sock.dead) sock.error = ERRNO.ECONNRESET;
  stack.remove(sock);
  sock.changed();
}

/** Gives a socket the counters of a new connection: `virtio_transport_do_socket_init()`. */
export function attach(sock: VsockSock): void {
  sock.bufferSize = Math.min(sock.bufferSize, U32_MAX);
  sock.epoch = sock.carrier!.epoch;
  sock.credit = new Credit(sock.bufferSize);
  sock.rx = new RxQueue(sock.credit);
}

/** shutdown(2) on a connected socket, `how` as `RCV_SHUTDOWN` and `SEND_SHUTDOWN`. */
export function sendShutdown(stack: Stack, sock: VsockSock, how: number): void {
  emit(
    stack,
    sock,
    VIRTIO_VSOCK_OP_SHUTDOWN,
    (how & RCV_SHUTDOWN ? VIRTIO_VSOCK_SHUTDOWN_RCV : 0) |
      (how & SEND_SHUTDOWN ? VIRTIO_VSOCK_SHUTDOWN_SEND : 0),
  );
}

/** close(2): `__vsock_release()` and `virtio_transport_release()`. */
export function release(stack: Stack, sock: VsockSock): void {
  sock.dead = true;
  stack.cancel(sock.connectTimer);
  closeConnection(stack, sock);
  if (sock.closeTimer === undefined) removeSock(stack, sock);
  // Linux keeps it for as long as the peer does not answer; that packets tell of it stays so.
  else sock.rx.discard();
  for (const child of sock.acceptQueue.splice(0)) release(stack, child);
}

/** Says goodbye to the peer, and sets a deadline where that is to answer. */
function closeConnection(stack: Stack, sock: VsockSock): void {
  if (sock.state !== "established" && sock.state !== "closing") return;
  if (sock.peerShutdown === SHUTDOWN_MASK) return emit(stack, sock, VIRTIO_VSOCK_OP_RST);
  sock.closeTimer = stack.after(CLOSE_TIMEOUT_MS, () => giveUp(stack, sock));
  const closing = sock.carrier?.closing?.add(sock);
  if (sock.shutdown !== SHUTDOWN_MASK) sendShutdown(stack, sock, SHUTDOWN_MASK);
  if (closing !== undefined && closing.size > CLOSING_MAX) {
    const [oldest] = closing;
    giveUp(stack, oldest!);
  }
}

/** The peer has not agreed in time. */
function giveUp(stack: Stack, sock: VsockSock): void {
  finishClose(stack, sock);
  emit(stack, sock, VIRTIO_VSOCK_OP_RST);
}

function removeSock(stack: Stack, sock: VsockSock): void {
  sock.rx.clear();
  stack.remove(sock);
}
