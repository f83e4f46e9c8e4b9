/**
 * The libc calls in use, raw: -1 on failure, with errno not yet read. `libc.ts` has each wrapped.
 *
 * Linux moves at most 0x7ffff000 bytes in one read or write, and what socket calls return is an int
 * inside of the kernel, so these `ssize_t` are read as 32 bits: exact, and no BigInt is made.
 *
 * @module
 */
import type { Signature, Wide } from "./backend.ts";

/** Bytes that a call reads or writes. */
export type Bytes = ArrayBufferView;

/** Raw libc. Lengths are in bytes; `Wide` arguments come from `Library.wide()`. */
export interface Libc {
  /** socket(2): a file descriptor. */
  socket(domain: number, type: number, protocol: number): number;
  /** socketpair(2): fills two ints. */
  socketpair(domain: number, type: number, protocol: number, fds: Bytes): number;
  /** bind(2). */
  bind(fd: number, addr: Bytes, addrlen: number): number;
  /** listen(2). */
  listen(fd: number, backlog: number): number;
  /** accept4(2): a file descriptor; `addrlen` is a u32, in and out. */
  accept4(fd: number, addr: Bytes, addrlen: Bytes, flags: number): number;
  /** connect(2): `EINPROGRESS` is normal on a non-blocking fd. */
  connect(fd: number, addr: Bytes, addrlen: number): number;
  /** shutdown(2). */
  shutdown(fd: number, how: number): number;
  /** close(2). */
  close(fd: number): number;
  /** dup2(2): the new descriptor. */
  dup2(fd: number, newFd: number): number;
  /** getsockname(2): `addrlen` is a u32, in and out. */
  getsockname(fd: number, addr: Bytes, addrlen: Bytes): number;
  /** getpeername(2): `addrlen` is a u32, in and out. */
  getpeername(fd: number, addr: Bytes, addrlen: Bytes): number;
  /** getsockopt(2): `optlen` is a u32, in and out. */
  getsockopt(fd: number, level: number, name: number, value: Bytes, optlen: Bytes): number;
  /** setsockopt(2). */
  setsockopt(fd: number, level: number, name: number, value: Bytes, optlen: number): number;
  /** send(2): bytes sent. */
  send(fd: number, buffer: Bytes, length: Wide, flags: number): number;
  /** recv(2): bytes read, 0 at end of stream. */
  recv(fd: number, buffer: Bytes, length: Wide, flags: number): number;
  /** sendmsg(2): bytes sent; takes a `struct msghdr`. */
  sendmsg(fd: number, message: Bytes, flags: number): number;
  /** recvmsg(2): bytes read; takes a `struct msghdr`. */
  recvmsg(fd: number, message: Bytes, flags: number): number;
  /** read(2): bytes read, 0 at end of file. */
  read(fd: number, buffer: Bytes, length: Wide): number;
  /** write(2): bytes written. */
  write(fd: number, buffer: Bytes, length: Wide): number;
  /** poll(2): how many of the `struct pollfd` have events; `timeout` in ms, -1 for ever. */
  poll(fds: Bytes, count: Wide, timeout: number): number;
  /** ppoll(2): `timeout` is the address of a `struct timespec` or 0, `mask` of a sigset or 0. */
  ppoll(fds: Bytes, count: Wide, timeout: Wide, mask: Wide): number;
  /** epoll_create1(2): a file descriptor. */
  epoll_create1(flags: number): number;
  /** epoll_ctl(2): takes a `struct epoll_event`. */
  epoll_ctl(epfd: number, op: number, fd: number, event: Bytes): number;
  /** epoll_wait(2): how many of the `struct epoll_event` were filled; `timeout` in ms. */
  epoll_wait(epfd: number, events: Bytes, count: number, timeout: number): number;
  /** eventfd(2): a file descriptor. */
  eventfd(initial: number, flags: number): number;
  /** pipe2(2): fills two ints. */
  pipe2(fds: Bytes, flags: number): number;
  /** ioctl(2) with a pointer; variadic in C. */
  ioctl(fd: number, request: Wide, argument: Bytes): number;
  /** fcntl(2) with an int; variadic in C. */
  fcntl(fd: number, command: number, argument: Wide): number;
  /** lseek(2): the offset from the start. */
  lseek(fd: number, offset: Wide, whence: number): Wide;
  /** readlink(2): bytes of the target, without a 0; `path` ends with one. */
  readlink(path: Bytes, buffer: Bytes, length: Wide): number;
  /** fstatfs(2): fills a `struct statfs`. */
  fstatfs(fd: number, buffer: Bytes): number;
  /** ftruncate(2). */
  ftruncate(fd: number, length: Wide): number;
  /** memfd_create(2): a file descriptor; `name` ends with a 0. */
  memfd_create(name: Bytes, flags: number): number;
  /** mmap(2): an address; `MAP_FAILED` is -1. */
  mmap(addr: Wide, length: Wide, prot: number, flags: number, fd: number, offset: Wide): Wide;
  /** mremap(2) without a new address; variadic in C. `MAP_FAILED` is -1. */
  mremap(addr: Wide, length: Wide, newLength: Wide, flags: number): Wide;
  /** munmap(2). */
  munmap(addr: Wide, length: Wide): number;
  /** mprotect(2). */
  mprotect(addr: Wide, length: Wide, prot: number): number;
  /** madvise(2). */
  madvise(addr: Wide, length: Wide, advice: number): number;
  /** inet_pton(3): 1, or 0 where `text`, which ends with a 0, is no address; fills `address`. */
  inet_pton(domain: number, text: Bytes, address: Bytes): number;
  /** inet_ntop(3): the address of `text`, which it fills, or 0. */
  inet_ntop(domain: number, address: Bytes, text: Bytes, length: number): Wide;
  /** if_nametoindex(3): 0 where there is no such interface; `name` ends with a 0. */
  if_nametoindex(name: Bytes): number;
  /** syscall(2): a call that libc has no function for, and that gives an int; variadic in C. */
  syscall(number: Wide, a: Wide, b: Wide, c: Wide, d: Wide, e: Wide, f: Wide): number;
  /** sysconf(3): -1 with errno unchanged where there is no limit. */
  sysconf(name: number): Wide;
}

/** C signatures of {@linkcode Libc}; a missing or an extra row is a type error. */
export const LIBC: Readonly<Record<keyof Libc, Signature>> = {
  socket: { args: ["i32", "i32", "i32"], result: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "buffer"], result: "i32" },
  bind: { args: ["i32", "buffer", "u32"], result: "i32" },
  listen: { args: ["i32", "i32"], result: "i32" },
  accept4: { args: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  connect: { args: ["i32", "buffer", "u32"], result: "i32" },
  shutdown: { args: ["i32", "i32"], result: "i32" },
  close: { args: ["i32"], result: "i32" },
  dup2: { args: ["i32", "i32"], result: "i32" },
  getsockname: { args: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { args: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  send: { args: ["i32", "buffer", "usize", "i32"], result: "i32" },
  recv: { args: ["i32", "buffer", "usize", "i32"], result: "i32" },
  sendmsg: { args: ["i32", "buffer", "i32"], result: "i32" },
  recvmsg: { args: ["i32", "buffer", "i32"], result: "i32" },
  read: { args: ["i32", "buffer", "usize"], result: "i32" },
  write: { args: ["i32", "buffer", "usize"], result: "i32" },
  poll: { args: ["buffer", "usize", "i32"], result: "i32" },
  ppoll: { args: ["buffer", "usize", "usize", "usize"], result: "i32" },
  epoll_create1: { args: ["i32"], result: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { args: ["i32", "buffer", "i32", "i32"], result: "i32" },
  eventfd: { args: ["u32", "i32"], result: "i32" },
  pipe2: { args: ["buffer", "i32"], result: "i32" },
  ioctl: { args: ["i32", "usize", "buffer"], result: "i32" },
  fcntl: { args: ["i32", "i32", "i64"], result: "i32" },
  lseek: { args: ["i32", "i64", "i32"], result: "i64" },
  readlink: { args: ["buffer", "buffer", "usize"], result: "i32" },
  fstatfs: { args: ["i32", "buffer"], result: "i32" },
  ftruncate: { args: ["i32", "i64"], result: "i32" },
  memfd_create: { args: ["buffer", "u32"], result: "i32" },
  mmap: { args: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "i64" },
  mremap: { args: ["usize", "usize", "usize", "i32"], result: "i64" },
  munmap: { args: ["usize", "usize"], result: "i32" },
  mprotect: { args: ["usize", "usize", "i32"], result: "i32" },
  madvise: { args: ["usize", "usize", "i32"], result: "i32" },
  inet_pton: { args: ["i32", "buffer", "buffer"], result: "i32" },
  inet_ntop: { args: ["i32", "buffer", "buffer", "u32"], result: "usize" },
  if_nametoindex: { args: ["buffer"], result: "u32" },
  syscall: { args: ["i64", "usize", "usize", "usize", "usize", "usize", "usize"], result: "i32" },
  sysconf: { args: ["i32"], result: "i64" },
};
