import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as m from "../../../ffi/abi/mman.ts";
import { close, ftruncate, madvise, memfd_create, mmap } from "../../../ffi/libc.ts";
import { mprotect, mremap, munmap } from "../../../ffi/libc.ts";
import { pageSize } from "../../../ffi/memory.ts";
import { library } from "../../../ffi/select.ts";
import { assertSysError, CLOSED } from "../../helpers/sys_error.ts";

const PAGE = pageSize();
const READ_WRITE = m.PROT_READ | m.PROT_WRITE;
/** Below what anybody may map, so nothing is ever there. */
const NOWHERE = PAGE;
const PRIVATE = m.MAP_PRIVATE | m.MAP_ANONYMOUS | m.MAP_NORESERVE;

test("mmap() gives addresses past 4 GiB for sizes past 4 GiB, byte for byte", () => {
  const size = 9 * 2 ** 30;
  const address = mmap(0, size, m.PROT_NONE, PRIVATE, -1, 0);
  assert(address > 2 ** 32 && Number.isSafeInteger(address));
  assertEquals(address % PAGE, 0);
  const last = address + size - PAGE;
  mprotect(last, PAGE, READ_WRITE);
  const bytes = new Uint8Array(library().bufferAt(last, PAGE));
  bytes[PAGE - 1] = 5;
  madvise(last, PAGE, m.MADV_DONTNEED);
  assertEquals(bytes[PAGE - 1], 0);
  bytes.buffer.transfer(0);
  munmap(address, size);
});

test("mmap() reads a file from an offset past 4 GiB", () => {
  const fd = memfd_create("far", m.MFD_CLOEXEC);
  const start = 5 * 2 ** 30;
  ftruncate(fd, start + PAGE);
  const two = [0, 1].map(() => mmap(0, PAGE, READ_WRITE, m.MAP_SHARED, fd, start));
  const [one = 0, other = 0] = two;
  const [writer, reader] = two.map((at) => new Uint8Array(library().bufferAt(at, PAGE)));
  if (writer === undefined || reader === undefined) throw new Error("Cannot map twice");
  writer[7] = 9;
  assertEquals(reader[7], 9);
  writer.buffer.transfer(0);
  reader.buffer.transfer(0);
  munmap(one, PAGE);
  munmap(other, PAGE);
  close(fd);
});

test("mmap() throws where it gives MAP_FAILED", () => {
  const flags = PRIVATE;
  assertSysError("mmap", "EINVAL", () => mmap(0, 0, READ_WRITE, flags, -1, 0));
  assertSysError("mmap", "ENOMEM", () => mmap(0, 2 ** 52, READ_WRITE, flags, -1, 0));
  assertSysError("mmap", "EBADF", () => mmap(0, PAGE, READ_WRITE, m.MAP_PRIVATE, CLOSED, 0));
  assertSysError("mmap", "EINVAL", () => mmap(0, PAGE, READ_WRITE, flags, -1, 1));
});

test("mremap() moves and shrinks, and throws where it gives MAP_FAILED", () => {
  const address = mmap(0, 2 * PAGE, READ_WRITE, PRIVATE, -1, 0);
  assertEquals(mremap(address, 2 * PAGE, PAGE, 0), address);
  const moved = mremap(address, PAGE, 6 * 2 ** 30, m.MREMAP_MAYMOVE);
  assert(moved > 2 ** 32);
  munmap(moved, 6 * 2 ** 30);
  assertSysError("mremap", "EFAULT", () => mremap(NOWHERE, PAGE, 2 * PAGE, m.MREMAP_MAYMOVE));
});

test("munmap(), mprotect() and madvise() fail with what the kernel says", () => {
  const address = mmap(0, PAGE, READ_WRITE, PRIVATE, -1, 0);
  assertSysError("munmap", "EINVAL", () => munmap(address + 1, PAGE));
  assertSysError("mprotect", "EINVAL", () => mprotect(address, PAGE, 0x40)); // no PROT_*
  assertSysError("madvise", "EINVAL", () => madvise(address, PAGE, 9_999));
  munmap(address, PAGE);
  assertSysError("mprotect", "ENOMEM", () => mprotect(NOWHERE, PAGE, m.PROT_NONE));
  assertSysError("madvise", "ENOMEM", () => madvise(NOWHERE, PAGE, m.MADV_DONTNEED));
});

test("Addresses and sizes that a number does not hold exactly are a RangeError", () => {
  const calls: readonly ((value: number) => unknown)[] = [
    (value) => mmap(value, PAGE, 0, PRIVATE, -1, 0),
    (value) => mmap(0, value, 0, PRIVATE, -1, 0),
    (value) => mmap(0, PAGE, 0, PRIVATE, -1, value),
    (value) => munmap(value, PAGE),
    (value) => munmap(0, value),
    (value) => mprotect(value, PAGE, 0),
    (value) => mprotect(0, value, 0),
    (value) => madvise(value, PAGE, m.MADV_DONTNEED),
    (value) => madvise(0, value, m.MADV_DONTNEED),
    (value) => mremap(value, PAGE, PAGE, 0),
    (value) => mremap(0, value, PAGE, 0),
    (value) => mremap(0, PAGE, value, 0),
  ];
  for (const call of calls) {
    for (const wrong of [2 ** 53, -1, NaN, 0.5, "1", 1n]) {
      const message = `current value is ${wrong}`;
      assertThrows(() => call(wrong as number), RangeError, message, String(call));
    }
  }
});
