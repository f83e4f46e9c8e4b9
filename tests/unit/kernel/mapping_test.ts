/** A mapping over a file in memory that a test fills as the kernel would. */
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { PROT_READ } from "../../../ffi/abi/mman.ts";
import { UsrHdrPage } from "../../../ffi/abi/virtio_vsock_usr.ts";
import { close } from "../../../ffi/libc.ts";
import { createMemfd } from "../../../ffi/memfd.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import { KernelMapping } from "../../../src/kernel/mapping.ts";
import { whyNoPages } from "../../../src/kernel/pages.ts";
import { assertSysError, CLOSED } from "../../helpers/sys_error.ts";

const why = whyNoPages();
const skip = why !== undefined && `${why}: boot a kernel with pages of 4 KiB`;
const PAGES = 4;
const LENGTH = (1 + PAGES) * 4096;

interface Fake extends Disposable {
  readonly mapping: KernelMapping;
  /** Page 0 as the kernel has it. */
  readonly page0: UsrHdrPage;
}

/** A mapping, and what writes it. */
function open(): Fake {
  const fd = createMemfd("mapping", LENGTH);
  const kernel = new MappedRegion(LENGTH, { fd });
  const socket = { getsockopt: (): number => (mapping.filled(), 8) };
  const mapping = new KernelMapping(socket, fd, LENGTH, PROT_READ);
  close(fd);
  return {
    mapping,
    page0: new UsrHdrPage(new Int32Array(kernel.lend(0, 4096).buffer)),
    [Symbol.dispose]() {
      mapping.unmap();
      kernel.unmap();
    },
  };
}

test("KernelMapping only loads from page 0, which is mapped to be read, also when compiled", {
  skip,
  timeout: 60_000,
}, () => {
  for (let round = 0; round < 3000; round++) {
    using fake = open();
    fake.page0.setHdrNum(2);
    for (let i = 0; i < 3; i++) {
      fake.mapping.mapRx();
      assertEquals(fake.mapping.readable(), false);
      assertEquals(fake.mapping.lend(0, 8192).length, 8192);
      fake.mapping.advise();
    }
  }
});

test(
  "KernelMapping lends what hdr_num says, and nothing where that makes no sense",
  { skip },
  () => {
    using fake = open();
    const { mapping, page0 } = fake;
    assertThrows(() => mapping.lend(0, 1), RangeError);
    page0.setHdrNum(3);
    assertThrows(() => mapping.lend(0, 1), RangeError);
    mapping.mapRx();
    assertEquals(mapping.lend(2, 4096).length, 4096);
    assertThrows(() => mapping.lend(3, 1), RangeError);
    page0.setHdrNum(0);
    mapping.mapRx();
    assertEquals(mapping.lend(2, 1).length, 1);
    page0.setHdrNum(PAGES);
    mapping.mapRx();
    assertEquals(mapping.lend(0, PAGES * 4096).length, PAGES * 4096);
    mapping.advise();
    for (const pages of [PAGES + 1, 0xffff_ffff]) {
      page0.setHdrNum(pages);
      mapping.mapRx();
      assertThrows(() => mapping.lend(0, 1), RangeError);
    }
  },
);

test(
  "KernelMapping.readable() follows poll_value, and is true once it is unmapped, for mapRx() to fail",
  { skip },
  () => {
    using fake = open();
    const { mapping, page0 } = fake;
    for (
      const [value, readable] of [[0, false], [1, true], [0xffff_ffff, true], [0, false]] as const
    ) {
      page0.storePollValue(value);
      assertEquals(mapping.readable(), readable);
    }
    mapping.unmap();
    assertEquals([mapping.mapped, mapping.readable(), mapping.page0.length], [false, true, 0]);
    assertThrows(() => mapping.lend(0, 1), RangeError);
    assertSysError("getsockopt", "EINVAL", () => mapping.mapRx());
    mapping.advise();
    mapping.unmap();
  },
);

test("KernelMapping of no bytes, or of a part of a page, is EINVAL", () => {
  const socket = { getsockopt: (): number => 8 };
  for (const length of [0, -4096, 100, 8200]) {
    assertSysError("mmap", "EINVAL", () => new KernelMapping(socket, CLOSED, length, PROT_READ));
  }
});
