import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { EFD_CLOEXEC } from "../../../ffi/abi/eventfd.ts";
import { F_DUPFD_CLOEXEC } from "../../../ffi/abi/fcntl.ts";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { IO_URING_PARAMS, IORING_FEAT_NODROP } from "../../../ffi/abi/io_uring.ts";
import { AF_UNIX, MSG_DONTWAIT, SOCK_SEQPACKET, SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import { ERRNO, WOULD_BLOCK } from "../../../ffi/errno.ts";
import {
  close,
  dup2,
  eventfd,
  fcntl,
  io_uring_enter,
  io_uring_setup,
  recv,
  send,
  socketpair,
} from "../../../ffi/libc.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import { Message } from "../../../ffi/message.ts";
import { pollSlice } from "../../../src/kernel/poll.ts";
import { Uring, uring } from "../../../src/kernel/uring.ts";
import { WholeSend } from "../../../src/kernel/whole_send.ts";
import { assertSysError } from "../../helpers/sys_error.ts";

const skip = uring() === null &&
  "no io_uring: allow it by sysctl kernel.io_uring_disabled=0, and in the container's seccomp rules";

/** Mapped bytes, as a call that goes on needs them. */
function mapped(length: number): Uint8Array<ArrayBuffer> {
  return new MappedRegion(length).lend(0, length).map((_, i) => i);
}

/** Reaps until `done()`, letting the kernel go on in between. */
function reapUntil(ring: Uring, done: () => boolean): void {
  for (let times = 0; !done(); times++) {
    assert(times < 1000, "the kernel never went on");
    pollSlice(ring.fd, POLLIN, 20);
    ring.reap();
  }
}

test("uring() is there wherever io_uring_setup(2) works", () => {
  const params = new DataView(new ArrayBuffer(IO_URING_PARAMS.size));
  try {
    close(io_uring_setup(1, params));
  } catch {
    return assertEquals(uring(), null);
  }
  const features = params.getUint32(IO_URING_PARAMS.at.features, true);
  assertEquals(uring() !== null, (features & IORING_FEAT_NODROP) !== 0);
});

test("Uring.sendmsg() is over at once where there is room", { skip }, () => {
  const [here, there] = socketpair(AF_UNIX, SOCK_SEQPACKET);
  const results: number[] = [];
  uring()!.sendmsg(here, new Message([mapped(100)]), 0, (result) => results.push(result));
  assertEquals(results, [100]);
  const got = new Uint8Array(200);
  assertEquals(recv(there, got, 0), 100);
  assertEquals(got.subarray(0, 3), Uint8Array.of(0, 1, 2));
  close(here);
  close(there);
});

test("Uring.sendmsg() gives a refusal as a negative errno", { skip }, () => {
  const [here, there] = socketpair(AF_UNIX, SOCK_STREAM);
  close(there);
  const results: number[] = [];
  uring()!.sendmsg(here, new Message([mapped(10)]), 0, (result) => results.push(result));
  close(here);
  uring()!.sendmsg(here, new Message([mapped(10)]), 0, (result) => results.push(result));
  assertEquals(results, [-ERRNO.EPIPE, -ERRNO.EBADF]);
});

/** Runs `call` while io_uring_enter(2) of `ring` is refused: something else has its number. */
function refused(ring: Uring, call: () => void): void {
  const kept = fcntl(ring.fd, F_DUPFD_CLOEXEC, 0);
  const other = eventfd(0, EFD_CLOEXEC);
  dup2(other, ring.fd);
  assertSysError("io_uring_enter", "EOPNOTSUPP", call);
  dup2(kept, ring.fd);
  close(kept);
  close(other);
}

test("Uring.sendmsg() that is refused leaves nothing to submit", { skip }, () => {
  const ring = new Uring();
  const [here, there] = socketpair(AF_UNIX, SOCK_SEQPACKET);
  const results: number[] = [];
  const sendmsg = (length: number): void =>
    ring.sendmsg(here, new Message([mapped(length)]), 0, (result) => results.push(result));
  refused(ring, () => sendmsg(100));
  assertEquals(io_uring_enter(ring.fd, 1, 0), 0);
  sendmsg(50);
  assertEquals([results, recv(there, new Uint8Array(200), 0)], [[50], 50]);
  for (const fd of [here, there, ring.fd]) close(fd);
});

test("WholeSend.send() that is refused has not begun", { skip }, () => {
  const ring = new Uring();
  const [here, there] = socketpair(AF_UNIX, SOCK_SEQPACKET);
  const messages = new WholeSend(here, () => ring);
  refused(ring, () => messages.send(new Uint8Array(100), 0));
  assertEquals(messages.state, "idle");
  assertEquals(messages.send(new Uint8Array(50), 0), 50);
  assertEquals(recv(there, new Uint8Array(200), 0), 50);
  messages.close();
  for (const fd of [here, there, ring.fd]) close(fd);
});

/** Reads all there is; how many bytes. */
function drain(fd: number): number {
  const buffer = new Uint8Array(65_536);
  let bytes = 0;
  for (let n = 0; n !== WOULD_BLOCK; n = recv(fd, buffer, MSG_DONTWAIT)) bytes += n;
  return bytes;
}

/** Writes until not a byte more has room; how many had. */
function fill(fd: number): number {
  const chunk = new Uint8Array(65_536);
  let bytes = 0;
  for (const part of [chunk, chunk.subarray(0, 1)]) {
    for (let n = 0; n !== WOULD_BLOCK; n = send(fd, part, MSG_DONTWAIT)) bytes += n;
  }
  return bytes;
}

test("Uring.sendmsg() goes on when there is room again, of 300 sockets at a time", {
  skip,
  timeout: 60_000,
}, () => {
  const ring = uring()!;
  const results: number[] = [];
  const pairs = Array.from({ length: 300 }, () => {
    const [here, there] = socketpair(AF_UNIX, SOCK_STREAM);
    const sent = fill(here);
    ring.sendmsg(here, new Message([mapped(10)]), 0, (result) => results.push(result));
    return { here, there, sent };
  });
  ring.reap();
  assertEquals(results, []);
  const received = pairs.map(({ there }) => drain(there));
  reapUntil(ring, () => results.length === pairs.length);
  pairs.forEach(({ here, there, sent }, i) => {
    assertEquals([received[i]! + drain(there), results[i]], [sent + 10, 10]);
    close(here);
    close(there);
  });
});
