/**
 * Socket calls: what `<sys/socket.h>` declares.
 *
 * Addresses and options are the bytes of C structs; `ffi/abi/` has their layouts. On failure each
 * call throws a `SysError`, with what its man page lists under ERRORS.
 *
 * @module
 */
import { requireBytes, requireInt, textOf } from "./arguments.ts";
import { libraryFor, retry } from "./call.ts";
import { ERRNO } from "./errno.ts";
import { Message } from "./message.ts";
import { library } from "./select.ts";
import type { Bytes } from "./symbols.ts";

/** Room for any address: `sizeof(struct sockaddr_storage)`. */
const anyAddress: Uint8Array<ArrayBuffer> = new Uint8Array(128);
const pair: Int32Array<ArrayBuffer> = new Int32Array(2);
/** The `socklen_t` that goes in and out; one will do, no call starts inside of another. */
const socklen: Uint32Array<ArrayBuffer> = new Uint32Array(1);

/** Wraps socket(2): a file descriptor, which the caller closes. */
export function socket(domain: number, type: number, protocol = 0): number {
  requireInt("domain", domain);
  requireInt("type", type);
  requireInt("protocol", protocol);
  const { calls } = library();
  let fd: number;
  do fd = calls.socket(domain, type, protocol); while (fd === -1 && retry("socket"));
  return fd;
}

/** Wraps socketpair(2): two file descriptors, which the caller closes. */
export function socketpair(domain: number, type: number, protocol = 0): [number, number] {
  requireInt("domain", domain);
  requireInt("type", type);
  requireInt("protocol", protocol);
  const { calls } = library();
  while (calls.socketpair(domain, type, protocol, pair) === -1 && retry("socketpair"));
  return [pair[0] ?? -1, pair[1] ?? -1];
}

/** Wraps bind(2). */
export function bind(fd: number, address: Bytes): void {
  const { calls } = libraryFor(fd);
  const length = requireBytes("address", address);
  while (calls.bind(fd, address, length) === -1 && retry("bind"));
}

/** Wraps listen(2). */
export function listen(fd: number, backlog: number): void {
  requireInt("backlog", backlog);
  const { calls } = libraryFor(fd);
  while (calls.listen(fd, backlog) === -1 && retry("listen"));
}

/**
 * Wraps accept4(2): a file descriptor, which the caller closes, or `WOULD_BLOCK`. `flags` are
 * `SOCK_NONBLOCK` and `SOCK_CLOEXEC`; the peer's address goes into `address`, cut to its length.
 */
export function accept4(fd: number, flags: number, address: Bytes = anyAddress): number {
  requireInt("flags", flags);
  const { calls } = libraryFor(fd);
  const length = requireBytes("address", address);
  let accepted: number;
  do {
    socklen[0] = length;
    accepted = calls.accept4(fd, address, socklen, flags);
  } while (accepted === -1 && retry("accept4", ERRNO.EAGAIN));
  return accepted;
}

/**
 * Wraps connect(2): `true` once connected, `false` for EINPROGRESS. Then wait for POLLOUT and read
 * `SO_ERROR`, which is 0 once connected.
 */
export function connect(fd: number, address: Bytes): boolean {
  const { calls } = libraryFor(fd);
  const length = requireBytes("address", address);
  let result: number;
  do result = calls.connect(fd, address, length); while (
    result === -1 && retry("connect", ERRNO.EINPROGRESS)
  );
  return result === 0;
}

/** Wraps shutdown(2): `how` is `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`. */
export function shutdown(fd: number, how: number): void {
  requireInt("how", how);
  const { calls } = libraryFor(fd);
  while (calls.shutdown(fd, how) === -1 && retry("shutdown"));
}

/** Wraps getsockname(2): fills `address`, gives the length that it really has. */
export function getsockname(fd: number, address: Bytes): number {
  const { calls } = libraryFor(fd);
  const length = requireBytes("address", address);
  do socklen[0] = length; while (
    calls.getsockname(fd, address, socklen) === -1 && retry("getsockname")
  );
  return socklen[0] ?? 0;
}

/** Wraps getpeername(2): fills `address`, gives the length that it really has. */
export function getpeername(fd: number, address: Bytes): number {
  const { calls } = libraryFor(fd);
  const length = requireBytes("address", address);
  do socklen[0] = length; while (
    calls.getpeername(fd, address, socklen) === -1 && retry("getpeername")
  );
  return socklen[0] ?? 0;
}

/** Wraps getsockopt(2): fills `value`, gives the length that optlen has afterwards. */
export function getsockopt(fd: number, level: number, name: number, value: Bytes): number {
  requireInt("level", level);
  requireInt("name", name);
  const { calls } = libraryFor(fd);
  const length = requireBytes("value", value);
  do socklen[0] = length; while (
    calls.getsockopt(fd, level, name, value, socklen) === -1 && retry("getsockopt")
  );
  return socklen[0] ?? 0;
}

/** Wraps setsockopt(2). */
export function setsockopt(fd: number, level: number, name: number, value: Bytes): void {
  requireInt("level", level);
  requireInt("name", name);
  const { calls } = libraryFor(fd);
  const length = requireBytes("value", value);
  while (
    calls.setsockopt(fd, level, name, value, length) === -1 && retry("setsockopt")
  );
}

/** Wraps send(2): bytes taken, or `WOULD_BLOCK`. */
export function send(fd: number, data: Bytes, flags: number): number {
  requireInt("flags", flags);
  const { calls, wide } = libraryFor(fd);
  const length = wide(requireBytes("data", data));
  let sent: number;
  do sent = calls.send(fd, data, length, flags); while (
    sent === -1 && retry("send", ERRNO.EAGAIN)
  );
  return sent;
}

/** Wraps recv(2): bytes read, 0 at end of stream or for no room, or `WOULD_BLOCK`. */
export function recv(fd: number, buffer: Bytes, flags: number): number {
  requireInt("flags", flags);
  const { calls, wide } = libraryFor(fd);
  const length = wide(requireBytes("buffer", buffer));
  let received: number;
  do received = calls.recv(fd, buffer, length, flags); while (
    received === -1 && retry("recv", ERRNO.EAGAIN)
  );
  return received;
}

/** Other objects have a `fill()` too, which writes to them. */
function requireMessage(message: Message): void {
  if (message instanceof Message) return;
  throw new TypeError(
    `Cannot use message: must be a Message: current value is ${textOf(message)}`,
  );
}

/** Wraps sendmsg(2): bytes taken, or `WOULD_BLOCK`. */
export function sendmsg(fd: number, message: Message, flags: number): number {
  requireInt("flags", flags);
  requireMessage(message);
  const { calls, pointerOf } = libraryFor(fd);
  message.fill(pointerOf);
  let sent: number;
  do sent = calls.sendmsg(fd, message.bytes, flags); while (
    sent === -1 && retry("sendmsg", ERRNO.EAGAIN)
  );
  message.settle();
  return sent;
}

/** Wraps recvmsg(2): bytes read, or `WOULD_BLOCK`; `message` then has flags and lengths. */
export function recvmsg(fd: number, message: Message, flags: number): number {
  requireInt("flags", flags);
  requireMessage(message);
  const { calls, pointerOf } = libraryFor(fd);
  message.fill(pointerOf);
  let received: number;
  do received = calls.recvmsg(fd, message.bytes, flags); while (
    received === -1 && retry("recvmsg", ERRNO.EAGAIN)
  );
  message.settle();
  return received;
}
