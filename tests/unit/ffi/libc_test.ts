import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { EPOLL_CTL_ADD, EpollEvents } from "../../../ffi/abi/epoll.ts";
import { EFD_NONBLOCK, EFD_SEMAPHORE } from "../../../ffi/abi/eventfd.ts";
import {
  F_GETFD,
  F_GETFL,
  F_SETFD,
  FD_CLOEXEC,
  O_CLOEXEC,
  O_NONBLOCK,
} from "../../../ffi/abi/fcntl.ts";
import { PollFds } from "../../../ffi/abi/poll.ts";
import { AF_UNIX, SOCK_STREAM, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { FIONREAD } from "../../../ffi/abi/sockios.ts";
import { _SC_NPROCESSORS_ONLN, _SC_PAGESIZE, SEEK_CUR, SEEK_END } from "../../../ffi/abi/unistd.ts";
import { MFD_CLOEXEC } from "../../../ffi/abi/mman.ts";
import { pointerOf } from "../../../ffi/call.ts";
import { WOULD_BLOCK } from "../../../ffi/errno.ts";
import * as libc from "../../../ffi/libc.ts";
import { Message } from "../../../ffi/message.ts";
import { assertSysError, CLOSED } from "../../helpers/sys_error.ts";

test("read() and write() move bytes through a pipe", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  assertEquals(libc.write(writer, Uint8Array.of(1, 2, 3)), 3);
  const buffer = new Uint8Array(8);
  assertEquals(libc.read(reader, buffer.subarray(2)), 3);
  assertEquals([...buffer], [0, 0, 1, 2, 3, 0, 0, 0]);
  libc.close(writer);
  assertEquals(libc.read(reader, buffer), 0);
  libc.close(reader);
});

test("read() and write() take any typed array, and the bytes from its offset on", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  const words = Uint32Array.of(1, 2, 3, 4);
  assertEquals(libc.write(writer, words.subarray(1, 3)), 8);
  const view = new DataView(new ArrayBuffer(16), 4, 8);
  assertEquals(libc.read(reader, view), 8);
  assertEquals([view.getUint32(0, true), view.getUint32(4, true)], [2, 3]);
  libc.close(reader);
  libc.close(writer);
});

test("read() and write() say WOULD_BLOCK for EAGAIN", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC | O_NONBLOCK);
  assertEquals(libc.read(reader, new Uint8Array(1)), WOULD_BLOCK);
  const chunk = new Uint8Array(65_536);
  while (libc.write(writer, chunk) !== WOULD_BLOCK);
  assertEquals(libc.write(writer, chunk), WOULD_BLOCK);
  libc.close(reader);
  libc.close(writer);
});

test("write() fails with EPIPE where nobody reads", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  libc.close(reader);
  assertSysError("write", "EPIPE", () => libc.write(writer, new Uint8Array(1)));
  libc.close(writer);
});

test("Every call on a closed descriptor fails with EBADF", () => {
  const byte = new Uint8Array(1);
  assertSysError("read", "EBADF", () => libc.read(CLOSED, byte));
  assertSysError("write", "EBADF", () => libc.write(CLOSED, byte));
  assertSysError("close", "EBADF", () => libc.close(CLOSED));
  assertSysError("fcntl", "EBADF", () => libc.fcntl(CLOSED, F_GETFD));
  assertSysError("ioctl", "EBADF", () => libc.ioctl(CLOSED, FIONREAD, new Int32Array(1)));
  assertSysError("ftruncate", "EBADF", () => libc.ftruncate(CLOSED, 1));
  assertSysError("lseek", "EBADF", () => libc.lseek(CLOSED, 0, SEEK_CUR));
  assertSysError("fstatfs", "EBADF", () => libc.fstatfs(CLOSED));
});

test("readlink() gives where a link leads", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  assert(libc.readlink(`/proc/self/fd/${reader}`).startsWith("pipe:["));
  for (const fd of [reader, writer]) libc.close(fd);
  assertSysError("readlink", "ENOENT", () => libc.readlink(`/proc/self/fd/${CLOSED}`));
  assertSysError("readlink", "EINVAL", () => libc.readlink("/"));
});

test("A descriptor that is no integer from 0 is a RangeError, on every runtime", () => {
  for (const fd of [-1, NaN, 0.5, 2 ** 31, "0" as unknown as number, 3n as unknown as number]) {
    assertThrows(() => libc.close(fd), RangeError, "Cannot use fd: must be an integer");
    assertThrows(() => libc.read(fd, new Uint8Array(1)), RangeError, `current value is ${fd}`);
  }
});

test("An int that is none is a RangeError, on every runtime", () => {
  const [near, far] = libc.socketpair(AF_UNIX, SOCK_STREAM);
  const epoll = libc.epoll_create1(0);
  const none = new Uint8Array(0);
  const calls: readonly ((value: number) => unknown)[] = [
    (value) => libc.socket(value, SOCK_STREAM),
    (value) => libc.socket(AF_UNIX, value),
    (value) => libc.socket(AF_UNIX, SOCK_STREAM, value ?? NaN),
    (value) => libc.socketpair(value, SOCK_STREAM),
    (value) => libc.socketpair(AF_UNIX, value),
    (value) => libc.socketpair(AF_UNIX, SOCK_STREAM, value ?? NaN),
    (value) => libc.listen(near, value),
    (value) => libc.accept4(near, value),
    (value) => libc.shutdown(near, value),
    (value) => libc.getsockopt(near, value, 0, new Uint8Array(4)),
    (value) => libc.getsockopt(near, SOL_SOCKET, value, new Uint8Array(4)),
    (value) => libc.setsockopt(near, value, 0, new Uint8Array(4)),
    (value) => libc.setsockopt(near, SOL_SOCKET, value, new Uint8Array(4)),
    (value) => libc.send(near, none, value),
    (value) => libc.recv(near, none, value),
    (value) => libc.sendmsg(near, new Message([]), value),
    (value) => libc.recvmsg(near, new Message([]), value),
    (value) => libc.dup2(near, value),
    (value) => libc.pipe2(value),
    (value) => libc.eventfd(value, 0),
    (value) => libc.eventfd(0, value),
    (value) => libc.fcntl(near, value),
    (value) => libc.lseek(near, 0, value),
    (value) => libc.sysconf(value),
    (value) => libc.mmap(0, 1, value, 0, -1, 0),
    (value) => libc.mmap(0, 1, 0, value, -1, 0),
    (value) => libc.mmap(0, 1, 0, 0, value, 0),
    (value) => libc.mremap(0, 0, 0, value),
    (value) => libc.mprotect(0, 0, value),
    (value) => libc.madvise(0, 0, value),
    (value) => libc.memfd_create("x", value),
    (value) => libc.epoll_create1(value),
    (value) => libc.epoll_ctl(epoll, value, near, new EpollEvents(1)),
    (value) => libc.epoll_ctl(epoll, EPOLL_CTL_ADD, value, new EpollEvents(1)),
  ];
  for (const call of calls) {
    for (const wrong of [NaN, 0.5, 2 ** 32, Infinity, undefined, null, "1", {}, 1n, Symbol()]) {
      const rule = "must be an integer from ";
      assertThrows(() => call(wrong as number), RangeError, rule, String(call));
    }
  }
  for (const fd of [near, far, epoll]) libc.close(fd);
});

test("What is 64 bits wide is refused where no number holds it exactly", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  const calls: ((value: number) => unknown)[] = [
    (value) => libc.ioctl(reader, value, new Int32Array(1)),
    (value) => libc.fcntl(reader, F_GETFD, value),
    (value) => libc.lseek(reader, value, SEEK_CUR),
    (value) => libc.ftruncate(reader, value),
  ];
  for (const call of calls) {
    for (const wrong of [2 ** 53, -1, NaN, 0.5, null]) {
      assertThrows(() => call(wrong as number), RangeError, `value is ${wrong}`, String(call));
    }
  }
  for (const fd of [reader, writer]) libc.close(fd);
});

test("A NUL within a string is a RangeError, and what is no string a TypeError", () => {
  const calls = [libc.readlink, libc.if_nametoindex, (text: string) => libc.memfd_create(text, 0)];
  for (const call of calls) {
    assertThrows(() => call("a\0b"), RangeError, "must have no NUL");
    assertThrows(() => call(undefined as unknown as string), TypeError, "must be a string");
  }
});

test("pointerOf() is 0 for a view of no bytes, and refuses what is no view", () => {
  const detached = new Uint8Array(8);
  detached.buffer.transfer();
  for (const view of [new Uint8Array(0), new Uint8Array(new ArrayBuffer(8), 8), detached]) {
    assertEquals(pointerOf(view), 0);
  }
  assertThrows(() => pointerOf([] as unknown as Uint8Array), TypeError, "Cannot use view");
});

test("Calls refuse a struct that is none, or has no room, and leave it as it is", () => {
  const [near, far] = libc.socketpair(AF_UNIX, SOCK_STREAM);
  const epoll = libc.epoll_create1(0);
  const none = Uint8Array.of(7); // its fill() is another one
  for (const call of [libc.sendmsg, libc.recvmsg]) {
    for (const wrong of [none, undefined, {}]) {
      assertThrows(() => call(near, wrong as never, 0), TypeError, "must be a Message");
    }
  }
  assertEquals([...none], [7]);
  for (const wrong of [undefined, null, {}, none]) {
    const calls = [
      () => libc.poll(wrong as never, 0),
      () => libc.ppoll(wrong as never, 0),
      () => libc.epoll_wait(epoll, wrong as never, 0),
      () => libc.epoll_ctl(epoll, EPOLL_CTL_ADD, near, wrong as never),
    ];
    for (const call of calls) assertThrows(call, TypeError, "must be a typed array", String(call));
  }
  const add = (events: EpollEvents): void => libc.epoll_ctl(epoll, EPOLL_CTL_ADD, near, events);
  assertThrows(() => add(new EpollEvents(0)), RangeError, "must be 1 or more");
  assertThrows(() => libc.poll(new PollFds(1), 5n as never), RangeError, "Cannot wait");
  for (const fd of [near, far, epoll]) libc.close(fd);
});

test("A buffer that is none is a TypeError, on every runtime", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  for (const wrong of [null, undefined, "text", 4096, 4096n, {}, { byteLength: 9 }, []]) {
    const buffer = wrong as unknown as Uint8Array;
    assertThrows(() => libc.read(reader, buffer), TypeError, "Cannot use buffer: must be");
    assertThrows(() => libc.write(writer, buffer), TypeError, "Cannot use data: must be");
  }
  libc.close(reader);
  libc.close(writer);
});

test("dup2() puts another file in the place of a descriptor", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  const [otherReader, otherWriter] = libc.pipe2(O_CLOEXEC);
  libc.dup2(otherWriter, writer);
  libc.close(otherWriter);
  libc.write(writer, Uint8Array.of(7));
  const got = new Uint8Array(4);
  assertEquals(libc.read(reader, got), 0); // nobody writes there any more
  assertEquals([libc.read(otherReader, got), got[0]], [1, 7]);
  for (const fd of [reader, writer, otherReader]) libc.close(fd);
  assertSysError("dup2", "EBADF", () => libc.dup2(CLOSED, writer));
});

test("pipe2() refuses unknown flags with EINVAL", () => {
  assertSysError("pipe2", "EINVAL", () => libc.pipe2(1));
});

test("eventfd() counts, and gives 1 at a time with EFD_SEMAPHORE", () => {
  const fd = libc.eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
  const count = new BigUint64Array(1);
  assertEquals(libc.write(fd, BigUint64Array.of(1n)), 8);
  for (let taken = 0; taken < 3; taken++) {
    assertEquals(libc.read(fd, count), 8);
    assertEquals(count[0], 1n);
  }
  assertEquals(libc.read(fd, count), WOULD_BLOCK);
  assertSysError("read", "EINVAL", () => libc.read(fd, new Uint8Array(4)));
  assertSysError("eventfd", "EINVAL", () => libc.eventfd(0, 2));
  libc.close(fd);
});

test("readNoWait() reads an eventfd, and never waits for one that blocks", () => {
  const fd = libc.eventfd(2, 0);
  const count = new BigUint64Array(3);
  assertEquals(libc.readNoWait(fd, count.subarray(1)), 8);
  assertEquals([...count], [0n, 2n, 0n]);
  assertEquals(libc.readNoWait(fd, count), WOULD_BLOCK);
  assertSysError("preadv2", "EINVAL", () => libc.readNoWait(fd, new Uint8Array(4)));
  assertSysError("preadv2", "EBADF", () => libc.readNoWait(CLOSED, count));
  libc.close(fd);
});

test("fcntl() gets and sets flags", () => {
  const [reader, writer] = libc.pipe2(0);
  assertEquals(libc.fcntl(reader, F_GETFD), 0);
  libc.fcntl(reader, F_SETFD, FD_CLOEXEC);
  assertEquals(libc.fcntl(reader, F_GETFD), FD_CLOEXEC);
  assertEquals(libc.fcntl(reader, F_GETFL) & O_NONBLOCK, 0);
  assertSysError("fcntl", "EINVAL", () => libc.fcntl(reader, 9_999));
  libc.close(reader);
  libc.close(writer);
});

test("ioctl() refuses an argument of no bytes, behind which is somebody else's memory", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  const end = new Uint8Array(new ArrayBuffer(4_096), 4_096);
  assertThrows(() => libc.ioctl(reader, FIONREAD, end), RangeError, "Cannot use argument");
  libc.close(reader);
  libc.close(writer);
});

test("ioctl() fills what its argument points to", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  libc.write(writer, new Uint8Array(77));
  const readable = new Int32Array(1);
  libc.ioctl(reader, FIONREAD, readable);
  assertEquals(readable[0], 77);
  assertSysError("ioctl", "ENOTTY", () => libc.ioctl(reader, 0x5401, new Uint8Array(64)));
  libc.close(reader);
  libc.close(writer);
});

test("ftruncate() and lseek() carry sizes over 4 GiB", () => {
  const fd = libc.memfd_create("sizes", MFD_CLOEXEC);
  const size = 5 * 2 ** 30 + 3;
  libc.ftruncate(fd, size);
  assertEquals(libc.lseek(fd, 0, SEEK_END), size);
  assertSysError("lseek", "EINVAL", () => libc.lseek(fd, 0, 99));
  assertThrows(() => libc.ftruncate(fd, 2 ** 53), RangeError, "Cannot use length");
  assertThrows(() => libc.ftruncate(fd, -1), RangeError, "current value is -1");
  libc.close(fd);
});

test("sysconf() gives longs, and -1 for a name that is none", () => {
  assertEquals(libc.sysconf(_SC_PAGESIZE) % 4096, 0);
  assert(libc.sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  assertEquals(libc.sysconf(99_999), -1);
});

test("memfd_create() refuses unknown flags with EINVAL", () => {
  assertSysError("memfd_create", "EINVAL", () => libc.memfd_create("x", 0x100));
});

test("if_nametoindex() fails with ENODEV where there is no such interface", () => {
  assert(libc.if_nametoindex("lo") > 0);
  assertSysError("if_nametoindex", "ENODEV", () => libc.if_nametoindex("none0"));
});

test("errno is right 20,000 times in a row, with garbage made in between", () => {
  const byte = new Uint8Array(1);
  const kept: unknown[] = [];
  for (let round = 0; round < 10_000; round++) {
    kept[round % 100] = new Array(100).fill(round);
    assertSysError("read", "EBADF", () => libc.read(CLOSED, byte));
    assertSysError("pipe2", "EINVAL", () => libc.pipe2(1));
  }
});

test("Each thread has an errno of its own", { timeout: 60_000 }, async () => {
  const worker = new Worker(new URL("./libc_worker.ts", import.meta.url));
  let codes: unknown;
  worker.once("message", (message) => codes = message);
  worker.once("error", (error) => codes = error);
  while (codes === undefined) {
    for (let round = 0; round < 1_000; round++) {
      assertSysError("pipe2", "EINVAL", () => libc.pipe2(1));
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await worker.terminate();
  assertEquals(codes, "EBADF");
});
