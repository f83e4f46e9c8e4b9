/**
 * What a user's calls do to a socket: the state checks of the kernel's `af_vsock.c`, in its order.
 * Every refusal is a `SysError` and leaves the socket as it was.
 *
 * @module
 */
import { MSG_EOR, MSG_PEEK, MSG_TRUNC } from "../../ffi/abi/socket.ts";
import {
  VIRTIO_VSOCK_MAX_PKT_BUF_SIZE,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SEQ_EOR,
} from "../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { ERRNO, SysError, WOULD_BLOCK } from "../../ffi/errno.ts";
import { attach, emit, sendShutdown, tellCredit } from "./connection.ts";
import type { Payload } from "./packet.ts";
import { RCV_SHUTDOWN, SEND_SHUTDOWN, type SockAddr, type VsockSock } from "./sock.ts";
import type { Stack } from "./stack.ts";

/** Reads and clears `sk_err`. */
export function takeError(sock: VsockSock): number {
  const { error } = sock;
  sock.error = 0;
  return error;
}

/** listen(2): EINVAL where unbound or not fresh. */
export function listen(sock: VsockSock, backlog: number): void {
  if (sock.ss !== "unconnected" || !sock.bound) throw new SysError("listen", "EINVAL");
  sock.backlog = backlog;
  sock.state = "listen";
}

/** accept(2): a connection, or `undefined` for EAGAIN. */
export function accept(sock: VsockSock): VsockSock | undefined {
  if (sock.state !== "listen") throw new SysError("accept", "EINVAL");
  return sock.acceptQueue.shift();
}

/** connect(2), non-blocking: it has begun when this returns. */
export function connect(stack: Stack, sock: VsockSock, to: SockAddr): void {
  if (sock.ss === "connected") throw new SysError("connect", "EISCONN");
  if (sock.ss === "disconnecting") throw new SysError("connect", "EINVAL");
  if (sock.ss === "connecting") throw new SysError("connect", "EALREADY");
  if (sock.state === "listen") throw new SysError("connect", "EINVAL");
  const carrier = stack.host.route(to.cid);
  if (carrier === undefined) throw new SysError("connect", "ENODEV");
  if (sock.seqpacket && carrier.seqpacket === false) {
    throw new SysError("connect", "ESOCKTNOSUPPORT");
  }
  if (!sock.bound) stack.bind(sock, { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
  sock.remote = { cid: to.cid, port: to.port };
  sock.carrier = carrier;
  attach(sock);
  sock.state = "syn_sent";
  sock.ss = "connecting";
  sock.error = 0;
  sock.connectTimer = stack.after(sock.connectTimeoutMs, () => {
    sock.state = "close";
    sock.ss = "unconnected";
    sock.error = ERRNO.ETIMEDOUT;
    sock.changed();
  });
  emit(stack, sock, VIRTIO_VSOCK_OP_REQUEST);
}

/** shutdown(2), `how` as `SHUT_*`. */
export function shutdown(stack: Stack, sock: VsockSock, how: number): void {
  if (sock.ss === "unconnected") throw new SysError("shutdown", "ENOTCONN");
  const mode = how + 1;
  sock.ss = "disconnecting";
  sock.shutdown |= mode;
  sock.done = false;
  sendShutdown(stack, sock, mode);
  sock.changed();
}

/** send(2), non-blocking: bytes taken. SEQPACKET takes all or nothing. */
export function send(stack: Stack, sock: VsockSock, data: Uint8Array, flags: number): number {
  if (sock.shutdown & SEND_SHUTDOWN || sock.peerShutdown & RCV_SHUTDOWN) throw brokenPipe(sock);
  if (sock.carrier === undefined || sock.state !== "established") {
    throw new SysError("send", "ENOTCONN");
  }
  if (data.length === 0) return 0;
  return sock.seqpacket ? sendMessage(stack, sock, data, flags) : sendStream(stack, sock, data);
}

/** EPIPE; on STREAM the pending error in its stead, which that clears: `sk_stream_error()`. */
function brokenPipe(sock: VsockSock): SysError {
  const pending = sock.seqpacket ? 0 : takeError(sock);
  return new SysError("send", pending === 0 ? ERRNO.EPIPE : pending);
}

function sendStream(stack: Stack, sock: VsockSock, data: Uint8Array): number {
  const total = Math.min(data.length, sock.credit.space());
  let sent = 0;
  while (sent < total) {
    const len = Math.min(total - sent, VIRTIO_VSOCK_MAX_PKT_BUF_SIZE);
    const whole = len === data.length;
    const payload = allocate(stack, sock, whole ? data : data.subarray(sent, sent + len));
    if (payload === undefined) break;
    sent += payload.bytes.length;
    emit(stack, sock, VIRTIO_VSOCK_OP_RW, 0, payload);
  }
  return sent === 0 ? WOULD_BLOCK : sent;
}

function sendMessage(stack: Stack, sock: VsockSock, data: Uint8Array, flags: number): number {
  const { credit } = sock;
  if (data.length > (sock.carrier!.messageMax ?? Infinity)) throw new SysError("send", "EMSGSIZE");
  const space = credit.space();
  if (space > 0 && data.length > credit.txBufSize()) throw new SysError("send", "EMSGSIZE");
  if (space < data.length) {
    sock.wantSpace = data.length;
    return WOULD_BLOCK;
  }
  const payloads = allocateAll(stack, sock, data);
  if (payloads === undefined) return WOULD_BLOCK;
  sock.wantSpace = 1;
  emitAll(stack, sock, payloads, flags & MSG_EOR ? VIRTIO_VSOCK_SEQ_EOR : 0);
  return data.length;
}

/** Memory for each packet of a message, or for none of them. */
function allocateAll(stack: Stack, sock: VsockSock, data: Uint8Array): Payload[] | undefined {
  const payloads: Payload[] = [];
  for (let at = 0; at < data.length; at += VIRTIO_VSOCK_MAX_PKT_BUF_SIZE) {
    const part = data.subarray(at, at + VIRTIO_VSOCK_MAX_PKT_BUF_SIZE);
    const payload = allocate(stack, sock, part);
    if (payload === undefined) {
      for (const taken of payloads) taken.free();
      return undefined;
    }
    payloads.push(payload);
  }
  return payloads;
}

/** Sends the packets of a message; the last one has the flag of its end, and `endFlags`. */
function emitAll(
  stack: Stack,
  sock: VsockSock,
  payloads: readonly Payload[],
  endFlags: number,
): void {
  const end = VIRTIO_VSOCK_SEQ_EOM | endFlags;
  const last = payloads.length - 1;
  payloads.forEach((payload, i) => {
    emit(stack, sock, VIRTIO_VSOCK_OP_RW, i === last ? end : 0, payload);
  });
}

function allocate(stack: Stack, sock: VsockSock, data: Uint8Array): Payload | undefined {
  const carrier = sock.carrier!;
  const payload = carrier.allocate(data, sock);
  if (payload === undefined) stack.needRoom(sock, carrier, data.length);
  return payload;
}

/**
 * recvmsg(2), non-blocking: bytes copied, 0 at end of stream. `flags`: `MSG_PEEK`, and `MSG_TRUNC`
 * on SEQPACKET. `out.flags` gets `MSG_EOR` and `MSG_TRUNC`.
 */
export function receive(
  stack: Stack,
  sock: VsockSock,
  buffer: Uint8Array,
  flags: number,
  out: { flags: number },
): number {
  out.flags = 0;
  if (sock.carrier === undefined || sock.state !== "established") {
    if (!sock.done) throw new SysError("recv", "ENOTCONN");
    if (sock.error !== 0 && sock.state === "close") throw new SysError("recv", sock.error);
    return 0;
  }
  if (sock.shutdown & RCV_SHUTDOWN || buffer.length === 0) return 0;
  const got = sock.seqpacket
    ? receiveMessage(stack, sock, buffer, flags, out)
    : receiveStream(stack, sock, buffer, flags);
  // A message is lost to the error, as on Linux.
  if (got !== 0 && (sock.error === 0 || !sock.seqpacket)) return got;
  if (sock.error !== 0) throw new SysError("recv", sock.error);
  return sock.peerShutdown & SEND_SHUTDOWN ? 0 : WOULD_BLOCK;
}

function receiveStream(stack: Stack, sock: VsockSock, buffer: Uint8Array, flags: number): number {
  const { rx } = sock;
  if (Math.min(sock.rcvlowat, buffer.length) >= sock.bufferSize) {
    throw new SysError("recv", "ENOMEM");
  }
  if (rx.rxBytes === 0) return 0;
  if (flags & MSG_PEEK) return rx.peek(buffer);
  const got = rx.read(buffer);
  tellCredit(stack, sock);
  sock.settle();
  return got;
}

function receiveMessage(
  stack: Stack,
  sock: VsockSock,
  buffer: Uint8Array,
  flags: number,
  out: { flags: number },
): number {
  if (sock.rx.msgCount === 0) return 0;
  const peek = (flags & MSG_PEEK) !== 0;
  const length = sock.rx.message(buffer, peek, out);
  out.flags = (out.flags & VIRTIO_VSOCK_SEQ_EOR ? MSG_EOR : 0) |
    (length > buffer.length ? MSG_TRUNC : 0);
  if (!peek) {
    emit(stack, sock, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    sock.settle();
  }
  return flags & MSG_TRUNC ? length : Math.min(length, buffer.length);
}

/** Sets `SO_VM_SOCKETS_BUFFER_SIZE` within its bounds, and tells a peer. */
export function updateBufferSize(stack: Stack, sock: VsockSock, wanted: number): void {
  let size = Math.min(Math.max(wanted, sock.bufferMinSize), sock.bufferMaxSize);
  if (size !== sock.bufferSize && sock.carrier !== undefined) {
    size = Math.min(size, 0xffff_ffff);
    sock.credit.bufAlloc = size;
    emit(stack, sock, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
  }
  sock.bufferSize = size;
  sock.changed(); // it bounds what is sent, too
}

/** SO_RCVLOWAT: 0 means 1; a STREAM socket refuses more than its buffer holds. */
export function setRcvlowat(stack: Stack, sock: VsockSock, wanted: number): void {
  const value = wanted < 0 ? 0x7fff_ffff : wanted;
  if (!sock.seqpacket) {
    if (value > sock.bufferSize) throw new SysError("setsockopt", "EINVAL");
    if (sock.carrier !== undefined && sock.rx.rxBytes < value && sock.credit.untold() > 0) {
      emit(stack, sock, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
  }
  sock.rcvlowat = value === 0 ? 1 : value;
  sock.changed();
}
