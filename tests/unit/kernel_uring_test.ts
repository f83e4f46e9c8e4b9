import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { POLLIN } from "../../ffi/abi/poll.ts";
import { AF_UNIX, MSG_DONTWAIT, SOCK_SEQPACKET, SOCK_STREAM } from "../../ffi/abi/socket.ts";
import { ERRNO, WOULD_BLOCK } from "../../ffi/errno.ts";
import { close, recv, send, socketpair } from "../../ffi/libc.ts";
import { MappedRegion } from "../../ffi/memory.ts";
import { Message } from "../../ffi/message.ts";
import { pollSlice } from "../../src/kernel/poll.ts";
import { type Uring, uring } from "../../src/kernel/uring.ts";

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
