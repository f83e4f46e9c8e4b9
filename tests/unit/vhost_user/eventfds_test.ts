import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { EFD_CLOEXEC } from "../../../ffi/abi/eventfd.ts";
import { F_GETFL, F_SETFL, O_CLOEXEC, O_NONBLOCK } from "../../../ffi/abi/fcntl.ts";
import { close, epoll_create1, eventfd, fcntl, read, write } from "../../../ffi/libc.ts";
import { assertSysError } from "../../helpers/sys_error.ts";
import { runWithFewDescriptors } from "../../helpers/child.ts";
import { signalEvent, takeEvents } from "../../../src/vhost_user/eventfds.ts";
import { Signaller, signaller } from "../../../src/vhost_user/signaller.ts";

/** More than a context has room for. */
const MANY = 1_000;
const FULL = 0xffff_ffff_ffff_fffen;
const skip = signaller() === null && "this kernel has no asynchronous I/O";

/** The counter of `fd`, which is cleared. */
function takeCount(fd: number): bigint {
  const counter = new BigUint64Array(1);
  assertEquals(read(fd, new Uint8Array(counter.buffer)), 8);
  return counter[0]!;
}

/** Calls `use` with an eventfd that blocks. */
function withEventFd(use: (fd: number) => void): void {
  const fd = eventfd(0, EFD_CLOEXEC);
  try {
    use(fd);
  } finally {
    close(fd);
  }
}

for (const by of new Set([null, signaller()])) {
  test(`signalEvent() counts one more, by ${by === null ? "write(2)" : "a signaller"}`, () => {
    withEventFd((fd) => {
      for (let i = 0; i < MANY; i++) signalEvent(fd, by);
      assertEquals(takeCount(fd), BigInt(MANY));
      write(fd, new Uint8Array(BigUint64Array.of(FULL).buffer));
      fcntl(fd, F_SETFL, 0);
      signalEvent(fd, by); // or it would wait here
      assert(takeCount(fd) >= FULL);
    });
  });
}

test("signalEvent() does without O_NONBLOCK, which a VMM may clear again and again", {
  skip,
}, () => {
  withEventFd((fd) => {
    signalEvent(fd);
    assertEquals(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assertEquals(takeEvents(fd), 8);
  });
});

test("Signaller.signal() counts on past the room of its context", { skip }, () => {
  const signaller = new Signaller();
  withEventFd((fd) => {
    for (let i = 0; i < MANY; i++) signaller.signal(fd);
    assertEquals(takeCount(fd), BigInt(MANY));
  });
  signaller.close();
});

test("Signaller.signal() refuses what is no eventfd, and goes on", { skip }, () => {
  const signaller = new Signaller();
  const epoll = epoll_create1(O_CLOEXEC);
  for (let i = 0; i < MANY; i++) {
    assertSysError("io_submit", "EINVAL", () => signaller.signal(epoll));
  }
  close(epoll);
  withEventFd((fd) => {
    signaller.signal(fd);
    assertEquals(takeCount(fd), 1n);
  });
  signaller.close();
});

test("signaller() tries again after there was no descriptor, and is none at the end of a thread", {
  skip,
  timeout: 60_000,
}, () => {
  const shown = runWithFewDescriptors(new URL("./signaller_child.ts", import.meta.url));
  assertEquals(shown, "false true false\n");
});
