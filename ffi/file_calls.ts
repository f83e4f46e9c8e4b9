/**
 * Calls on any file descriptor: what `<unistd.h>`, `<fcntl.h>`, `<sys/ioctl.h>`, `<sys/statfs.h>`
 * and `<sys/eventfd.h>` declare.
 *
 * On failure each call throws a `SysError`, with what its man page lists under ERRORS.
 *
 * @module
 */
import { STATFS } from "./abi/statfs.ts";
import { IOVEC, RWF_NOWAIT, SYS_preadv2 } from "./abi/uio.ts";
import type { Wide } from "./backend.ts";
import {
  cString,
  requireBytes,
  requireFd,
  requireInt,
  requireSize,
  requireUint,
} from "./arguments.ts";
import { libraryFor, retry } from "./call.ts";
import { ERRNO, SysError, WOULD_BLOCK } from "./errno.ts";
import { library } from "./select.ts";
import type { Bytes } from "./symbols.ts";
import { setSize } from "./wide.ts";

const pair: Int32Array<ArrayBuffer> = new Int32Array(2);
const iovec: DataView<ArrayBuffer> = new DataView(new ArrayBuffer(IOVEC.size));
/** An offset of -1. */
const NO_OFFSET = 0xffff_ffff_ffff_ffffn as bigint & Wide;

/** Wraps close(2). After EINTR the descriptor is gone on Linux, so it is not closed again. */
export function close(fd: number): void {
  const { calls } = libraryFor(fd);
  if (calls.close(fd) === -1) retry("close");
}

/** Wraps dup2(2): makes `newFd` what `fd` is, closing what it was before. */
export function dup2(fd: number, newFd: number): void {
  requireFd("newFd", newFd);
  const { calls } = libraryFor(fd);
  while (calls.dup2(fd, newFd) === -1 && retry("dup2"));
}

/** Wraps read(2): bytes read, 0 at end of file or for no room, or `WOULD_BLOCK`. */
export function read(fd: number, buffer: Bytes): number {
  const { calls, wide } = libraryFor(fd);
  const length = wide(requireBytes("buffer", buffer));
  let count: number;
  do count = calls.read(fd, buffer, length); while (count === -1 && retry("read", ERRNO.EAGAIN));
  return count;
}

/**
 * Wraps preadv2(2) of one buffer, with `RWF_NOWAIT` and where the file stands: as `read()`, but it
 * never waits. O_NONBLOCK can be cleared by whoever else has the file. EOPNOTSUPP where the file
 * knows no such read.
 */
export function readNoWait(fd: number, buffer: Bytes): number {
  const { calls, errno, wide, pointerOf } = libraryFor(fd);
  const length = requireBytes("buffer", buffer);
  const number = wide(SYS_preadv2);
  for (;;) {
    setSize(iovec, IOVEC.at.iov_base, pointerOf(buffer));
    setSize(iovec, IOVEC.at.iov_len, length);
    const [vec, one, flags] = [wide(pointerOf(iovec)), wide(1), wide(RWF_NOWAIT)];
    const count = calls.syscall(number, wide(fd), vec, one, NO_OFFSET, wide(0), flags);
    if (count !== -1) return count;
    const code = errno();
    if (code === ERRNO.EAGAIN) return WOULD_BLOCK;
    if (code !== ERRNO.EINTR) throw new SysError("preadv2", code);
  }
}

/** Wraps write(2): bytes written, or `WOULD_BLOCK`. */
export function write(fd: number, data: Bytes): number {
  const { calls, wide } = libraryFor(fd);
  const length = wide(requireBytes("data", data));
  let count: number;
  do count = calls.write(fd, data, length); while (count === -1 && retry("write", ERRNO.EAGAIN));
  return count;
}

/** Wraps pipe2(2): the end to read and the end to write, which the caller closes. */
export function pipe2(flags: number): [number, number] {
  requireInt("flags", flags);
  const { calls } = library();
  while (calls.pipe2(pair, flags) === -1 && retry("pipe2"));
  return [pair[0] ?? -1, pair[1] ?? -1];
}

/** Wraps eventfd(2): a file descriptor, which the caller closes; reads and writes are 8 bytes. */
export function eventfd(initial: number, flags: number): number {
  requireUint("initial", initial);
  requireInt("flags", flags);
  const { calls } = library();
  let fd: number;
  do fd = calls.eventfd(initial, flags); while (fd === -1 && retry("eventfd"));
  return fd;
}

/**
 * Wraps ioctl(2) for requests whose argument is a pointer: here, to `argument`, which must have
 * room for whatever the request writes, as nothing else says how long it is.
 *
 * @throws {RangeError} If `argument` has no bytes.
 */
export function ioctl(fd: number, request: number, argument: Bytes): number {
  const { calls, wide } = libraryFor(fd);
  requireSize("request", request);
  if (requireBytes("argument", argument) === 0) {
    throw new RangeError("Cannot use argument: must be 1 byte or more: current value is 0");
  }
  let result: number;
  do result = calls.ioctl(fd, wide(request), argument); while (result === -1 && retry("ioctl"));
  return result;
}

/** Wraps fcntl(2) for commands whose argument is an integer, or that have none. */
export function fcntl(fd: number, command: number, argument = 0): number {
  requireInt("command", command);
  const { calls, wide } = libraryFor(fd);
  requireSize("argument", argument);
  let result: number;
  do result = calls.fcntl(fd, command, wide(argument)); while (result === -1 && retry("fcntl"));
  return result;
}

/** Wraps lseek(2): the offset from the start, in bytes. */
export function lseek(fd: number, offset: number, whence: number): number {
  requireInt("whence", whence);
  const { calls, wide } = libraryFor(fd);
  requireSize("offset", offset);
  let result: number;
  do result = Number(calls.lseek(fd, wide(offset), whence)); while (
    result === -1 && retry("lseek")
  );
  return result;
}

/** Wraps readlink(2): where the link `path` leads, or the first 4096 bytes of that. */
export function readlink(path: string): string {
  const { calls, wide } = library();
  const [name, target] = [cString("path", path), new Uint8Array(4_096)];
  let length: number;
  do length = calls.readlink(name, target, wide(target.length)); while (
    length === -1 && retry("readlink")
  );
  return new TextDecoder().decode(target.subarray(0, length));
}

/** Wraps fstatfs(2): which file system the file is of, a `*_MAGIC`. */
export function fstatfs(fd: number): number {
  const { calls } = libraryFor(fd);
  const bytes = new DataView(new ArrayBuffer(STATFS.size));
  while (calls.fstatfs(fd, bytes) === -1 && retry("fstatfs"));
  return bytes.getUint32(STATFS.at.f_type, true);
}

/** Wraps ftruncate(2): makes the file `length` bytes long. */
export function ftruncate(fd: number, length: number): void {
  const { calls, wide } = libraryFor(fd);
  requireSize("length", length);
  while (calls.ftruncate(fd, wide(length)) === -1 && retry("ftruncate"));
}

/** Wraps sysconf(3): the value, or -1 where there is no limit or no such name. */
export function sysconf(name: number): number {
  requireInt("name", name);
  return Number(library().calls.sysconf(name));
}
