import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { F_SEAL_SHRINK } from "../../../ffi/abi/fcntl.ts";
import { SEEK_CUR, SEEK_SET } from "../../../ffi/abi/unistd.ts";
import { close, lseek } from "../../../ffi/libc.ts";
import { createMemfd, requireUnshrinkable, sealsOf } from "../../../ffi/memfd.ts";
import { assertSysError, CLOSED } from "../../helpers/sys_error.ts";

const NAME = "vsockit-memfd-test";

/** How many files of that name are open. */
function files(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes(NAME);
    } catch {
      return false; // that of the listing itself
    }
  }).length;
}

test("createMemfd() throws for what is no length, and leaves no file", () => {
  for (const length of [-1, NaN, 0.5, 2 ** 53]) {
    assertThrows(() => createMemfd(NAME, length), RangeError, `current value is ${length}`);
  }
  assertEquals(files(), 0);
});

test("sealsOf() gives the seals of a memfd, and fails for what is no descriptor", () => {
  const fd = createMemfd(NAME, 1);
  assertEquals(sealsOf(fd), F_SEAL_SHRINK);
  close(fd);
  assertSysError("fcntl", "EBADF", () => sealsOf(CLOSED));
});

test("requireUnshrinkable() leaves the position of the file where it is", () => {
  const fd = createMemfd(NAME, 100);
  lseek(fd, 5, SEEK_SET);
  requireUnshrinkable(fd, 100);
  assertThrows(() => requireUnshrinkable(fd, 101), RangeError, "its 100 bytes");
  assertEquals(lseek(fd, 0, SEEK_CUR), 5);
  close(fd);
});
