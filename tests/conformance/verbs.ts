/**
 * The blocking calls that a socket does not have, as promises. The far end runs them where it
 * lives.
 *
 * @module
 */
import { SysError } from "../../ffi/errno.ts";
import { POLLIN, POLLOUT } from "../../ffi/abi/poll.ts";
import type { VsockAddress } from "../../src/address.ts";
import { type MessageFlags, type Socket, WOULD_BLOCK } from "../../src/socket.ts";

/** What one recvmsg(2) gave. */
export interface Received {
  /** Its result: bytes, or the real length with `MSG_TRUNC`. */
  readonly result: number;
  /** The bytes copied. */
  readonly data: Uint8Array;
  /** `msg_flags`. */
  readonly flags: number;
}

/** recvmsg(2), once, into a buffer of `length` bytes. */
export function receive(socket: Socket, length: number, flags = 0): Received {
  const buffer = new Uint8Array(length);
  const out: MessageFlags = { flags: 0 };
  const result = socket.recv(buffer, flags, out);
  return { result, data: buffer.slice(0, Math.max(0, Math.min(result, length))), flags: out.flags };
}

/** Waits for data or the end, then recvmsg(2). */
export async function receiveNext(socket: Socket, length: number, flags = 0): Promise<Received> {
  while (true) {
    const received = receive(socket, length, flags);
    if (received.result !== WOULD_BLOCK) return received;
    await socket.wait(POLLIN);
  }
}

/** Sends all of `data`, however many calls it takes. */
export async function sendAll(socket: Socket, data: Uint8Array, flags = 0): Promise<void> {
  for (let sent = 0; sent < data.length;) {
    const taken = socket.send(data.subarray(sent), flags);
    if (taken === WOULD_BLOCK) await socket.wait(POLLOUT);
    else sent += taken;
  }
}

/** Receives exactly `length` bytes; fewer only at end of stream. */
export async function receiveAll(socket: Socket, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  let got = 0;
  while (got < length) {
    const result = socket.recv(buffer.subarray(got), 0);
    if (result === 0) break;
    if (result === WOULD_BLOCK) await socket.wait(POLLIN);
    else got += result;
  }
  return buffer.subarray(0, got);
}

/** Receives to the end of the stream and gives all bytes. */
export async function receiveToEnd(socket: Socket): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  while (true) {
    const { data } = await receiveNext(socket, 65536);
    if (data.length === 0) return concat(parts);
    parts.push(data);
  }
}

/** connect(2), and the wait for its outcome. */
export async function connected(socket: Socket, address: VsockAddress): Promise<void> {
  if (socket.connect(address)) return;
  await socket.wait(POLLOUT);
  const errno = socket.takeError();
  if (errno !== 0) throw new SysError("connect", errno);
}

/** accept(2), waiting for a connection. */
export async function accepted(listener: Socket): Promise<Socket> {
  while (true) {
    const socket = listener.accept();
    if (socket !== undefined) return socket;
    await listener.wait(POLLIN);
  }
}

/** All `parts` in a row. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
