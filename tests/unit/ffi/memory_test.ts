import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { AF_UNIX, SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import { MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_HUGETLB, PROT_READ } from "../../../ffi/abi/mman.ts";
import { F_ADD_SEALS, F_SEAL_SHRINK, O_CLOEXEC } from "../../../ffi/abi/fcntl.ts";
import { SysError } from "../../../ffi/errno.ts";
import { close, fcntl, ftruncate, memfd_create, pipe2, read } from "../../../ffi/libc.ts";
import { socketpair, write } from "../../../ffi/libc.ts";
import { Loans, StolenViewError } from "../../../ffi/loans.ts";
import { createMemfd } from "../../../ffi/memfd.ts";
import { isMapped, MappedRegion, pageSize } from "../../../ffi/memory.ts";
import { library } from "../../../ffi/select.ts";
import { runChild } from "../../helpers/child.ts";
import { assertSysError, CLOSED } from "../../helpers/sys_error.ts";

const PAGE = pageSize();

const DEAD = "0 bytes, undefined first, TypeError";
const ALL_DEAD = `${DEAD}; ${DEAD}; TypeError`;
const STOLEN = `${16 * PAGE} reserved, loot 100 7 0 5, bystander ${DEAD}`;
const TOUCHED: Readonly<Record<string, string>> = {
  "release anonymous": ALL_DEAD,
  "releaseAll memfd": ALL_DEAD,
  "discard anonymous": ALL_DEAD,
  "unmap anonymous": ALL_DEAD,
  "unmap memfd": ALL_DEAD,
  "resize anonymous": ALL_DEAD,
  "hot loop": `sum ${200 * 16 * PAGE}`,
  "stolen by transfer": STOLEN,
  "stolen by structuredClone": STOLEN,
  "stolen by resize": STOLEN,
  "stolen by worker": `StolenViewError, worker starts with 3 ends with ${16 * PAGE} bytes of 00`,
};

for (const [name, found] of Object.entries(TOUCHED)) {
  test(`MappedRegion is safe to touch after: ${name}`, { timeout: 60_000 }, async () => {
    assertEquals(
      await runChild(new URL("./memory_child.ts", import.meta.url), [name]),
      `${found}\n`,
    );
  });
}

test("MappedRegion is safe to touch after: discard of a socket's pages", {
  timeout: 60_000,
}, async (t) => {
  const found = JSON.parse(await runChild(new URL("./tcp_child.ts", import.meta.url)));
  if (found.mapped === 0) {
    return t.skip("nothing was mapped: vsockit doctor tcp_receive says why, and the cure");
  }
  assertEquals(found, { right: true, length: 0, first: "undefined", mapped: 16 * PAGE });
});

test("MappedRegion.lend() gives exactly the bytes asked for, and loans share them", () => {
  using region = new MappedRegion(3 * PAGE);
  const one = region.lend(PAGE, 100);
  const other = region.lend(PAGE + 50, 2 * PAGE - 50);
  assertEquals([one.byteLength, one.byteOffset, one.buffer.byteLength], [100, 0, 100]);
  one[50] = 42;
  assertEquals(other[0], 42);
  assertEquals([...region.lend(PAGE + 49, 3)], [0, 42, 0]);
  assertEquals(region.loans, 3);
});

test("MappedRegion.lend() lends the same bytes again and again, never a copy of them", () => {
  using region = new MappedRegion(2 * PAGE);
  const watch = region.lend(0, 2 * PAGE);
  const views: Uint8Array[] = [];
  for (let round = 1; round <= 100; round++) {
    const view = region.lend(PAGE, PAGE);
    assertEquals(view[0], round === 1 ? 0 : round - 1);
    view[0] = round;
    assertEquals(watch[PAGE], round);
    region.release(view);
    views.push(view);
  }
  region.discard(0, 2 * PAGE);
  assertEquals(region.lend(PAGE, PAGE)[0], 0);
  assertEquals([watch, ...views].map(({ length }) => length), Array(101).fill(0));
  region.resize(9 * PAGE);
  region.lend(PAGE, PAGE)[0] = 5;
  assertEquals(region.lend(0, 2 * PAGE)[PAGE], 5);
});

test("MappedRegion.lend() lends what was taken back before, and never the bytes of another loan", () => {
  const pages = 3000; // more than the buffers that are kept, so that some share a place
  using region = new MappedRegion(pages * PAGE);
  for (let round = 0; round < 2; round++) {
    for (let page = 0; page < pages; page++) {
      const view = region.lend(page * PAGE, 2);
      assertEquals(view[0]! + view[1]! * 256, round === 0 ? 0 : page);
      view.set([page, page >> 8]);
      region.release(view);
    }
  }
});

test("MappedRegion.lend() makes no buffer where one was taken back that had the same bytes", (t) => {
  using region = new MappedRegion(PAGE);
  const made = t.mock.method(library(), "bufferAt");
  for (let round = 0; round < 9; round++) region.release(region.lend(0, 8));
  assertEquals(made.mock.callCount(), 1);
  made.mock.restore();
});

test("MappedRegion.lend() lends no bytes too, anywhere", () => {
  using region = new MappedRegion(PAGE);
  for (const offset of [0, 1, PAGE]) {
    const view = region.lend(offset, 0);
    assertEquals(view.byteLength, 0);
    region.release(view);
  }
  const last = region.lend(PAGE, 0);
  region.releaseAll();
  assertEquals([region.loans, last.buffer.detached], [0, true]);
});

test("MappedRegion.lend() refuses what is not in the region", () => {
  using region = new MappedRegion(100);
  for (const [offset, length] of [[0, 101], [100, 1], [101, 0], [2 ** 52, 2 ** 52]] as const) {
    assertThrows(() => region.lend(offset, length), RangeError, "must lie within the region");
  }
  for (const wrong of [-1, NaN, 0.5, Infinity, 2 ** 53, "1" as unknown as number]) {
    assertThrows(() => region.lend(wrong, 1), RangeError, `current value is ${wrong}`);
    assertThrows(() => region.lend(0, wrong), RangeError, `current value is ${wrong}`);
  }
  assertEquals(region.loans, 0);
});

test("MappedRegion.release() kills one loan and no other", () => {
  using region = new MappedRegion(PAGE);
  const [gone, stays] = [region.lend(0, 10), region.lend(0, 10)];
  stays[3] = 3;
  region.release(gone);
  assertEquals([gone.length, stays.length, stays[3]], [0, 10, 3]);
  assertEquals(region.loans, 1);
});

test("MappedRegion.release() takes any view over the lent buffer", () => {
  using region = new MappedRegion(PAGE);
  const view = region.lend(0, 10);
  region.release(view.subarray(5));
  assertEquals(view.length, 0);
});

test("MappedRegion.release() refuses a second time, and what was never lent", () => {
  using region = new MappedRegion(PAGE);
  using stranger = new MappedRegion(PAGE);
  const view = region.lend(0, 10);
  assertThrows(() => stranger.release(view), TypeError, "must be on loan from this region");
  assertThrows(() => region.release(undefined as never), TypeError, "Cannot use view");
  region.release(view);
  assertThrows(() => region.release(view), TypeError, "must be on loan from this region");
  assertThrows(() => region.release(new Uint8Array(4)), TypeError, "4 bytes of something else");
});

test("MappedRegion.discard() kills the views it touches, and zeros private pages", () => {
  using region = new MappedRegion(4 * PAGE);
  const before = region.lend(0, PAGE).fill(1);
  const across = region.lend(PAGE - 1, 2).fill(2);
  const inside = region.lend(2 * PAGE + 5, 1).fill(3);
  const after = region.lend(3 * PAGE, 1).fill(4);
  region.discard(PAGE, PAGE + 1);
  assertEquals([before, across, inside, after].map(({ length }) => length), [PAGE, 0, 0, 1]);
  assertEquals([before[0], before[PAGE - 1], after[0]], [1, 2, 4]);
  assertEquals([...region.lend(PAGE, 2 * PAGE)].some((byte) => byte !== 0), false);
});

test("MappedRegion.discard() refuses an offset within a page, and takes no bytes", () => {
  using region = new MappedRegion(2 * PAGE);
  const view = region.lend(0, 2 * PAGE);
  assertThrows(() => region.discard(1, 1), RangeError, "must start on a page");
  assertThrows(() => region.discard(PAGE, PAGE + 1), RangeError, "must lie within the region");
  region.discard(PAGE, 0);
  assertEquals(view.length, 2 * PAGE);
});

test("MappedRegion.unmap() ends the region; the second call does nothing", () => {
  const region = new MappedRegion(PAGE);
  assert(region.address > 0);
  region.unmap();
  region.unmap();
  assertEquals([region.address, region.byteLength, region.loans], [0, 0, 0]);
  const message = "must be mapped: current value is an unmapped region";
  assertThrows(() => region.lend(0, 0), TypeError, message);
  assertThrows(() => region.discard(0, 0), TypeError, message);
  assertThrows(() => region.resize(1), TypeError, message);
  region.releaseAll();
});

test("MappedRegion.unmap() gives the memory back, and so does the end of a block", () => {
  const fd = createMemfd("vsockit-unmap-test", PAGE);
  const mapped = (): boolean => readFileSync("/proc/self/maps", "utf8").includes("vsockit-unmap");
  const region = new MappedRegion(PAGE, { fd });
  assertEquals(mapped(), true);
  region.unmap();
  assertEquals(mapped(), false);
  {
    using _ = new MappedRegion(PAGE, { fd });
    assertEquals(mapped(), true);
  }
  assertEquals(mapped(), false);
  close(fd);
});

test("MappedRegion.resize() keeps the bytes, kills the views, and grows by zeros", () => {
  using region = new MappedRegion(PAGE);
  const view = region.lend(0, PAGE).fill(8);
  region.resize(300 * PAGE);
  assertEquals([view.length, region.byteLength], [0, 300 * PAGE]);
  const grown = region.lend(PAGE - 1, 2);
  assertEquals([...grown], [8, 0]);
  region.resize(10);
  assertEquals([grown.length, [...region.lend(0, 10)].join("")], [0, "8888888888"]);
  assertThrows(() => region.lend(0, 11), RangeError);
  assertThrows(() => region.resize(0), RangeError, "must be 1 byte or more");
});

test("MappedRegion.resize() refuses to grow what it did not make", () => {
  const fd = createMemfd("grow", 2 * PAGE);
  using region = new MappedRegion(PAGE, { fd });
  close(fd);
  assertThrows(() => region.resize(PAGE + 1), RangeError, `must be at most its ${PAGE} bytes`);
  for (const length of [PAGE, 1]) {
    region.resize(length);
    assertEquals(region.byteLength, length);
  }
});

test("MappedRegion.resize() that mremap(2) refuses throws, and changes nothing but the views", () => {
  using region = new MappedRegion(PAGE);
  region.lend(0, 1)[0] = 6;
  const { op, code } = assertThrows(() => region.resize(2 ** 52), SysError);
  assertEquals([op, code === "ENOMEM" || code === "EINVAL"], ["mremap", true]); // since Linux 6.17
  assertEquals(region.lend(0, 1)[0], 6);
});

test("MappedRegion maps a memfd at an offset, and both see each other's writes", () => {
  const fd = createMemfd("shared", 3 * PAGE);
  using all = new MappedRegion(3 * PAGE, { fd });
  using tail = new MappedRegion(2 * PAGE, { fd, offset: PAGE });
  close(fd);
  tail.lend(PAGE, 1)[0] = 5;
  assertEquals(all.lend(2 * PAGE, 1)[0], 5);
  assertNotEquals(all.address, tail.address);
});

test("MappedRegion refuses a file that can become shorter, or that is too short", () => {
  const open = memfd_create("open", MFD_CLOEXEC);
  ftruncate(open, PAGE);
  assertThrows(() => new MappedRegion(PAGE, { fd: open }), TypeError, "F_SEAL_SHRINK");
  close(open);
  const sealed = createMemfd("sealed", PAGE);
  assertThrows(() => new MappedRegion(PAGE + 1, { fd: sealed }), RangeError, `its ${PAGE} bytes`);
  assertThrows(() => new MappedRegion(1, { fd: sealed, offset: PAGE }), RangeError);
  assertSysError("ftruncate", "EPERM", () => ftruncate(sealed, 1));
  assertSysError("mmap", "EINVAL", () => new MappedRegion(1, { fd: sealed, offset: 1 }));
  close(sealed);
});

test("MappedRegion refuses huge pages, of which another process may take the last", {
  skip: !existsSync("/sys/kernel/mm/hugepages") && "this kernel is without CONFIG_HUGETLBFS",
}, () => {
  const fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
  ftruncate(fd, 2 ** 30);
  fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
  assertThrows(() => new MappedRegion(PAGE, { fd }), TypeError, "of ordinary pages");
  close(fd);
});

test("MappedRegion fails with what mmap(2) says of a pipe, a socket and a closed file", () => {
  const [reader, writer] = pipe2(O_CLOEXEC);
  const [near, far] = socketpair(AF_UNIX, SOCK_STREAM);
  for (const [fd, code] of [[reader, "EACCES"], [near, "ENODEV"], [CLOSED, "EBADF"]] as const) {
    assertEquals(assertThrows(() => new MappedRegion(PAGE, { fd }), SysError).code, code);
  }
  for (const fd of [reader, writer, near, far]) close(fd);
});

test("MappedRegion is of 1 byte or more", () => {
  for (const length of [0, -1, NaN, 1.5, 2 ** 53]) {
    assertThrows(() => new MappedRegion(length), RangeError, `current value is ${length}`);
  }
});

test("MappedRegion starts at 0 or more", () => {
  for (const offset of [-1, NaN, 1.5, 2 ** 53]) {
    assertThrows(() => new MappedRegion(1, { offset }), RangeError, `current value is ${offset}`);
  }
});

test("MappedRegion that this runtime may not look at is unmapped at once", (t) => {
  const fd = createMemfd("vsockit-denied-test", PAGE);
  const denied = new Error("denied");
  const bufferAt = t.mock.method(library(), "bufferAt", () => {
    throw denied;
  });
  assertEquals(assertThrows(() => new MappedRegion(PAGE, { fd })), denied);
  bufferAt.mock.restore();
  assertEquals(readFileSync("/proc/self/maps", "utf8").includes("vsockit-denied"), false);
  close(fd);
});

test("MappedRegion carries sizes over 4 GiB", () => {
  const fd = createMemfd("large", 6 * 2 ** 30); // of which a small machine may have as much
  using region = new MappedRegion(6 * 2 ** 30, { fd });
  close(fd);
  const end = region.lend(6 * 2 ** 30 - 4, 4);
  end.set([1, 2, 3, 4]);
  assertEquals([...region.lend(6 * 2 ** 30 - 3, 2)], [2, 3]);
});

test("MappedRegion with PROT_READ reads zeros", () => {
  using region = new MappedRegion(PAGE, { prot: PROT_READ });
  assertEquals(region.lend(0, 1)[0], 0);
});

test("MappedRegion lends what libc reads into and writes from", () => {
  using region = new MappedRegion(PAGE);
  const [reader, writer] = pipe2(O_CLOEXEC);
  assertEquals(write(writer, region.lend(7, 3).fill(4)), 3);
  assertEquals(read(reader, region.lend(100, 10)), 3);
  assertEquals([...region.lend(99, 5)], [0, 4, 4, 4, 0]);
  close(reader);
  close(writer);
});

test("StolenViewError says how much stays reserved, and the region is gone", () => {
  const region = new MappedRegion(PAGE + 1);
  const [view, another, other] = [region.lend(0, 1), region.lend(0, 1), region.lend(0, 2)];
  for (const { buffer } of [view, another]) buffer.transfer();
  const error = assertThrows(() => region.release(view), StolenViewError, "2 transferred away");
  assertEquals([error.reserved, error.name], [2 * PAGE, "StolenViewError"]);
  const { address, byteLength, loans } = region;
  assertEquals([address, byteLength, loans, other.length], [0, 0, 0, 0]);
  region.unmap();
});

test("MappedRegion.unmap() detaches a buffer that says it was", () => {
  const region = new MappedRegion(PAGE);
  const { buffer } = region.lend(0, 8);
  let asked = 0;
  Object.defineProperties(buffer, {
    transfer: { value: (length: number) => new ArrayBuffer(length) },
    detached: { get: () => asked++ > 0 },
    byteLength: { value: 2 * PAGE },
  });
  region.unmap();
  assertThrows(() => new Uint8Array(buffer), TypeError);
});

test("MappedRegion with stolen: keep leaves the pages to whoever has the buffer", () => {
  const fd = createMemfd("vsockit-test", 2 * PAGE);
  const region = new MappedRegion(2 * PAGE, { fd, stolen: "keep" });
  close(fd);
  const view = region.lend(0, 8);
  view[0] = 7;
  const stolen = new Uint8Array(view.buffer.transfer());
  const other = region.lend(PAGE, 8);
  region.releaseAll();
  assertEquals([other.length, stolen[0], region.loans], [0, 7, 0]);
  region.lend(0, 8)[0] = 9;
  assertEquals(stolen[0], 9);
  assertThrows(() => region.resize(PAGE), TypeError, "lost some");
  region.discard(0, PAGE);
  region.unmap();
  assertEquals([stolen[0], region.byteLength], [9, 0]);
});

test("MappedRegion with stolen: keep drops no page of fresh memory under a buffer that is gone", () => {
  using region = new MappedRegion(PAGE, { stolen: "keep" });
  const view = region.lend(0, 8).fill(7);
  const stolen = new Uint8Array(view.buffer.transfer());
  region.discard(0, PAGE);
  assertEquals([stolen[0], region.lend(0, 1)[0]], [7, 7]);
});

test("isMapped() knows what is on loan, be it one buffer or several, and nothing else", () => {
  using region = new MappedRegion(PAGE);
  const one = region.lend(0, 8).buffer;
  assertEquals([isMapped(one), isMapped(new ArrayBuffer(8))], [true, false]);
  const other = region.lend(8, 8);
  region.release(other);
  assertEquals([isMapped(one), isMapped(other.buffer)], [true, false]);
  region.unmap();
  assertEquals(isMapped(one), false);
});

test("isMapped() asks no region that is gone, unmapped or given up", (t) => {
  const has = t.mock.method(Loans.prototype, "has");
  const asked = (): number => {
    has.mock.resetCalls();
    assertEquals(isMapped(new ArrayBuffer(8)), false);
    return has.mock.callCount();
  };
  const before = asked();
  const regions = [new MappedRegion(PAGE), new MappedRegion(PAGE)] as const;
  const views = regions.map((region) => region.lend(0, 8));
  assertEquals(asked(), before + 2);
  regions[0].unmap();
  views[1]!.buffer.transfer();
  assertThrows(() => regions[1].releaseAll(), StolenViewError);
  assertEquals(asked(), before);
  has.mock.restore();
});
