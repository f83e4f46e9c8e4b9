import { spawn } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as e from "../../../ffi/abi/epoll.ts";
import { EFD_NONBLOCK } from "../../../ffi/abi/eventfd.ts";
import { O_CLOEXEC } from "../../../ffi/abi/fcntl.ts";
import { POLLERR, PollFds, POLLHUP, POLLIN, POLLNVAL, POLLOUT } from "../../../ffi/abi/poll.ts";
import { TIMESPEC } from "../../../ffi/abi/time.ts";
import * as libc from "../../../ffi/libc.ts";
import { library } from "../../../ffi/select.ts";
import { runChild } from "../../helpers/child.ts";
import { FaultyLibc } from "../../helpers/faulty_libc.ts";
import { assertSysError, CLOSED } from "../../helpers/sys_error.ts";

for (const [name, poll] of Object.entries({ poll: libc.poll, ppoll: libc.ppoll })) {
  test(`${name}() tells what happened, entry by entry`, () => {
    const [reader, writer] = libc.pipe2(O_CLOEXEC);
    const fds = new PollFds(4);
    fds.set(0, reader, POLLIN);
    fds.set(1, writer, POLLOUT);
    fds.set(2, CLOSED, POLLIN);
    assertEquals(poll(fds, 0), 2);
    assertEquals([0, 1, 2, 3].map((at) => fds.revents(at)), [0, POLLOUT, POLLNVAL, 0]);
    assertEquals([0, 3].map((at) => fds.fd(at)), [reader, -1]);
    libc.write(writer, new Uint8Array(1));
    assertEquals(poll(fds, Infinity), 3);
    assertEquals(fds.revents(0), POLLIN);
    libc.close(writer);
    fds.set(1, -1, 0);
    assertEquals(poll(fds, 10_000), 2);
    assertEquals(fds.revents(0), POLLIN | POLLHUP);
    libc.close(reader);
  });

  test(`${name}() waits for as long as it is told, and no shorter`, () => {
    const fds = new PollFds(1);
    const start = performance.now();
    assertEquals(poll(fds, 20.5), 0);
    assert(performance.now() - start >= 20);
  });

  test(`${name}() waits however long it may take`, { timeout: 60_000 }, () => {
    const [reader, writer] = libc.pipe2(O_CLOEXEC);
    const fds = new PollFds(1);
    fds.set(0, reader, POLLIN);
    for (const timeout of [2 ** 40, 1_000 * 2 ** 80]) {
      const script = `sleep 0.05; echo > /proc/${process.pid}/fd/${writer}`;
      spawn("sh", ["-c", script], { stdio: "ignore" }).unref();
      assertEquals(poll(fds, timeout), 1);
      libc.read(reader, new Uint8Array(1));
    }
    for (const fd of [reader, writer]) libc.close(fd);
  });

  test(`${name}() refuses a timeout that is none`, () => {
    for (const timeout of [-1, NaN, -Infinity]) {
      assertThrows(() => poll(new PollFds(1), timeout), RangeError, `value is ${timeout}`);
    }
  });
}

test("poll() rounds a timeout up to whole milliseconds", () => {
  const asked: unknown[] = [];
  using _libc = new FaultyLibc((_name, args) => {
    asked.push(args[2]);
    return 1;
  });
  for (const timeout of [0, 0.25, 20.5, 2 ** 40, Infinity]) libc.poll(new PollFds(1), timeout);
  assertEquals(asked, [0, 1, 21, 2 ** 31 - 1, -1]);
});

test("ppoll() waits to the nanosecond", () => {
  const asked: unknown[] = [];
  const { bufferAt } = library();
  using _libc = new FaultyLibc((_name, args) => {
    const bytes = bufferAt(Number(args[2]), TIMESPEC.size);
    const view = new DataView(bytes);
    asked.push([TIMESPEC.at.tv_sec, TIMESPEC.at.tv_nsec].map((at) => view.getBigInt64(at, true)));
    bytes.transfer(0);
    return 1;
  });
  for (const timeout of [0.25, 2_000, 2_500.25, 2_500.25]) libc.ppoll(new PollFds(1), timeout);
  const long = [2n, 500_250_000n];
  assertEquals(asked, [[0n, 250_000n], [2n, 0n], long, long]);
});

test("poll() takes no entry that has no room", () => {
  let count: unknown;
  using _libc = new FaultyLibc((_name, args) => {
    count = Number(args[1]);
    return 0;
  });
  libc.poll({ bytes: new Uint8Array(15) } as unknown as PollFds, 0);
  assertEquals(count, 1);
});

test("PollFds tells POLLERR on the end of a pipe that nobody reads", () => {
  const [reader, writer] = libc.pipe2(O_CLOEXEC);
  libc.close(reader);
  const fds = new PollFds(1);
  fds.set(0, writer, 0);
  assertEquals(libc.poll(fds, 0), 1);
  assertEquals(fds.revents(0), POLLERR);
  libc.close(writer);
});

test("epoll_wait() tells what happened to what epoll_ctl() added", () => {
  const epfd = libc.epoll_create1(e.EPOLL_CLOEXEC);
  const counters = [0, 1, 0].map((initial) => libc.eventfd(initial, EFD_NONBLOCK));
  const event = new e.EpollEvents(1);
  for (const [index, fd] of counters.entries()) {
    event.set(0, e.EPOLLIN | (index === 2 ? e.EPOLLOUT | e.EPOLLET : 0), 0xffff_fff0 + index);
    libc.epoll_ctl(epfd, e.EPOLL_CTL_ADD, fd, event);
  }
  const events = new e.EpollEvents(8);
  assertEquals(libc.epoll_wait(epfd, events, 10_000), 2);
  const found = [0, 1].map((at) => [events.data(at), events.events(at)]);
  assertEquals(found.sort(), [[0xffff_fff1, e.EPOLLIN], [0xffff_fff2, e.EPOLLOUT]]);
  libc.epoll_ctl(epfd, e.EPOLL_CTL_DEL, counters[1] ?? -1, event);
  assertEquals(libc.epoll_wait(epfd, events, 0), 0);
  const start = performance.now();
  assertEquals(libc.epoll_wait(epfd, events, 20), 0);
  assert(performance.now() - start >= 19);
  for (const fd of [epfd, ...counters]) libc.close(fd);
});

test("epoll_create1(), epoll_ctl() and epoll_wait() fail with what the kernel says", () => {
  const epfd = libc.epoll_create1(0);
  const events = new e.EpollEvents(1);
  const add = (fd: number, to = epfd): void => libc.epoll_ctl(to, e.EPOLL_CTL_ADD, fd, events);
  assertSysError("epoll_create1", "EINVAL", () => libc.epoll_create1(1));
  assertSysError("epoll_ctl", "EBADF", () => add(CLOSED));
  assertSysError("epoll_ctl", "EINVAL", () => add(epfd));
  const counter = libc.eventfd(0, 0);
  add(counter);
  assertSysError("epoll_ctl", "EEXIST", () => add(counter));
  assertSysError("epoll_wait", "EINVAL", () => libc.epoll_wait(counter, events, 0));
  assertSysError("epoll_wait", "EINVAL", () => libc.epoll_wait(epfd, new e.EpollEvents(0), 0));
  assertThrows(() => libc.epoll_wait(epfd, events, -1), RangeError, "Infinity for ever");
  libc.close(counter);
  libc.close(epfd);
});

test("Signals cut no wait but pollOnce() short: EINTR is retried for what is left", {
  timeout: 60_000,
}, async () => {
  const all = "poll 0 in full, pollOnce 0 cut short, ppoll 0 in full, epoll_wait 0 in full\n";
  assertEquals(await runChild(new URL("./signal_child.ts", import.meta.url)), all);
});
