import { existsSync, openSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { F_ADD_SEALS, F_SEAL_SHRINK } from "../../../ffi/abi/fcntl.ts";
import { MFD_ALLOW_SEALING, MFD_HUGETLB } from "../../../ffi/abi/mman.ts";
import { AF_INET, SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import { close, fcntl, ftruncate, memfd_create, socket } from "../../../ffi/libc.ts";
import { createMemfd } from "../../../ffi/memfd.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import { GuestRam, RANGE_MAX } from "../../../src/vhost_user/guest_ram.ts";
import { FrontEndError, type Region } from "../../../src/vhost_user/protocol.ts";
import { Vring } from "../../../src/vhost_user/vring.ts";
import { failOnce } from "../../helpers/faulty_libc.ts";
import { assertSysError } from "../../helpers/sys_error.ts";

const [KIB, MIB, GIB] = [2 ** 10, 2 ** 20, 2 ** 30];
const NAME = "vsockit-ram-test";

/** One file: the high region lies before the low one, which is over two windows of views. */
const HIGH: Region = { guestAddress: 4 * GIB, size: MIB, userAddress: 2 ** 44, offset: 4 * KIB };
const LOW: Region = {
  guestAddress: 0,
  size: 2 * GIB + 2 * MIB,
  userAddress: 2 ** 45,
  offset: 2 * MIB,
};

/** The regions, and their file mapped here. */
class Rig implements Disposable {
  readonly file: MappedRegion;
  readonly ram: GuestRam;

  constructor() {
    const length = LOW.offset + LOW.size;
    const fd = createMemfd(NAME, length);
    this.file = new MappedRegion(length, { fd });
    this.ram = new GuestRam([LOW, HIGH], [fd, fd]);
    close(fd);
  }

  /** Writes `byte` where the file has the guest's `address`. */
  put({ guestAddress, offset }: Region, address: number, byte: number): void {
    const view = this.file.lend(offset + address - guestAddress, 1);
    view[0] = byte;
    this.file.release(view);
  }

  [Symbol.dispose](): void {
    this.ram.drop();
    this.file.unmap();
  }
}

function mappings(): number {
  return readFileSync("/proc/self/maps", "utf8").split(NAME).length - 1;
}

test("GuestRam.bytes() finds each byte of each region, within a view and where two views meet", () => {
  using rig = new Rig();
  const end = LOW.guestAddress + LOW.size;
  const places: [Region, number][] = [[LOW, 0], [LOW, end - 1], [HIGH, HIGH.guestAddress]];
  places.push([HIGH, HIGH.guestAddress + HIGH.size - 1]);
  for (const edge of [GIB, 2 * GIB]) {
    for (const at of [-1, 0, 1, MIB - 2, MIB - 1, MIB]) places.push([LOW, edge + at]);
  }
  places.forEach(([region, address], index) => rig.put(region, address, index + 1));
  places.forEach(([, address], index) => {
    assertEquals(rig.ram.bytes(address, 1)?.[0], index + 1, `${address}`);
  });
  for (const edge of [GIB, 2 * GIB]) {
    const range = rig.ram.bytes(edge - 1, RANGE_MAX)!;
    const last = places.findIndex(([, address]) => address === edge + MIB - 2) + 1;
    assertEquals([range.length, range[RANGE_MAX - 1]], [RANGE_MAX, last]);
  }
});

test("GuestRam.bytes() gives nothing that is not all within one region, or too long", () => {
  using rig = new Rig();
  const end = LOW.guestAddress + LOW.size;
  const refused: [number, number][] = [[0, 0], [0, -1], [0, RANGE_MAX + 1], [-1, 1], [-1, 2]];
  for (const { guestAddress, size } of [LOW, HIGH]) {
    refused.push([guestAddress + size, 1], [guestAddress + size - 1, 2], [guestAddress - 1, 2]);
  }
  for (const [address, length] of refused) {
    assertEquals(rig.ram.bytes(address, length), undefined, `${length} bytes at ${address}`);
  }
  const asked = [rig.ram.has(end - 1, 1), rig.ram.has(end - 1, 2), rig.ram.has(0, LOW.size)];
  assertEquals(asked, [true, false, true]);
});

test("GuestRam.bytes() makes one buffer for what lies together, however often it is asked", () => {
  using rig = new Rig();
  const buffers = [0, 8, GIB - 1, GIB].map((address) => rig.ram.bytes(address, 8)!.buffer);
  const same = buffers.map((buffer) => buffers.indexOf(buffer));
  assertEquals(same, [0, 0, 0, 3]);
});

test("GuestRam.lend() lends the guest's own bytes, and takes them back", () => {
  using rig = new Rig();
  const { bytes, release } = rig.ram.lend(HIGH.guestAddress + 10, 20);
  rig.put(HIGH, HIGH.guestAddress + 29, 7);
  assertEquals([bytes.length, bytes[19], bytes.buffer.byteLength], [20, 7, 20]);
  release();
  assertEquals(bytes.length, 0);
});

test("GuestRam.ring() gives aligned bytes by the front end's address, and no others", () => {
  using rig = new Rig();
  const { userAddress, size, guestAddress } = HIGH;
  rig.put(HIGH, guestAddress + size - 16, 9);
  const { bytes, release } = rig.ram.ring(userAddress + size - 16, 16, 16);
  assertEquals(bytes[0], 9);
  release();
  assertEquals(bytes.length, 0);
  const refused: [number, number, number][] = [[userAddress - 16, 16, 16], [
    userAddress + 8,
    8,
    16,
  ]];
  refused.push([LOW.userAddress + LOW.size - 16, 17, 16], [LOW.userAddress + LOW.size, 1, 1]);
  for (const [address, length, align] of refused) {
    const what = `${length} bytes at ${address}`;
    assertThrows(() => rig.ram.ring(address, length, align), FrontEndError, what);
  }
});

test("Vring.stop() takes all views of the ring back, however often it is started", () => {
  using rig = new Rig();
  const { ram } = rig;
  const views: Uint8Array[] = [];
  const ring = ram.ring.bind(ram);
  ram.ring = (...where) => {
    const lent = ring(...where);
    views.push(lent.bytes);
    return lent;
  };
  const vring = new Vring(() => {});
  vring.size = 8;
  const [desc, avail, used] = [0, 128, 256].map((at) => HIGH.userAddress + at);
  vring.address = { index: 0, flags: 0, desc: desc!, avail: avail!, used: used! };
  for (let round = 0; round < 3; round++) {
    vring.start(ram, ram, { eventIdx: false, indirect: false });
    const { queue } = vring;
    vring.start(ram, ram, { eventIdx: false, indirect: false }); // as by another kick
    assertEquals(vring.queue === queue, true);
    vring.stop();
  }
  assertEquals(views.map(({ length }) => length), new Array(9).fill(0));
});

test("Vring.size and Vring.base take what virtio has, and nothing else", () => {
  const vring = new Vring(() => {});
  for (const size of [1, 2, 32_768]) vring.size = size;
  for (const size of [0, 3, 32_769, 65_536]) {
    assertThrows(() => vring.size = size, FrontEndError, `current value is ${size}`);
  }
  for (const base of [0, 0xffff]) vring.base = base;
  assertThrows(() => vring.base = 0x1_0000, FrontEndError, "must fit 16 bits");
});

test("GuestRam is mapped until it is closed and nobody holds it", () => {
  const before = mappings();
  using rig = new Rig();
  assertEquals(mappings(), before + 3);
  rig.ram.hold();
  rig.ram.hold();
  const view = rig.ram.bytes(0, 8)!;
  rig.ram.drop();
  assertEquals([view.length, mappings()], [8, before + 3]);
  rig.ram.drop();
  assertEquals([view.length, mappings()], [8, before + 3]);
  const { release } = rig.ram.lend(0, 1);
  rig.ram.drop();
  assertEquals([view.length, mappings()], [0, before + 1]);
  release();
});

test("GuestRam refuses regions that overlap, and what is no sealed memfd, with nothing left", () => {
  const before = mappings();
  const fd = createMemfd(NAME, 2 * MIB);
  const region = { guestAddress: MIB, size: MIB, userAddress: 2 ** 44, offset: 0 };
  for (const guestAddress of [1, MIB, 2 * MIB - 1]) {
    const other = { ...region, guestAddress, userAddress: 2 ** 45 };
    assertThrows(() => new GuestRam([region, other], [fd, fd]), FrontEndError, "must not overlap");
  }
  const apart = { ...region, guestAddress: 0 };
  // What is mapped by rules of its own is none either.
  const others = [memfd_create(NAME, 0), openSync("/dev/zero", "r+"), socket(AF_INET, SOCK_STREAM)];
  for (const other of others) {
    const make = (): GuestRam => new GuestRam([region, apart], [fd, other]);
    assertThrows(make, FrontEndError, "must be a memfd with F_SEAL_SHRINK");
    close(other);
  }
  const short = { ...apart, offset: 2 * MIB - 1 };
  assertThrows(() => new GuestRam([region, short], [fd, fd]), FrontEndError);
  assertEquals(mappings(), before);
  new GuestRam([region, apart], [fd, fd]).drop();
  close(fd);
  assertEquals(mappings(), before);
});

test("GuestRam fails with what mmap(2) says, which the front end has not done, with nothing left", () => {
  const before = mappings();
  const fd = createMemfd(NAME, 2 * MIB);
  const region = { guestAddress: MIB, size: MIB, userAddress: 2 ** 44, offset: 0 };
  using _ = failOnce("mmap", "ENOMEM", 2);
  const make = (): GuestRam => new GuestRam([region, { ...region, guestAddress: 0 }], [fd, fd]);
  assertSysError("mmap", "ENOMEM", make);
  close(fd);
  assertEquals(mappings(), before);
});

test("GuestRam refuses huge pages as what the front end did, not as what its user did", {
  skip: !existsSync("/sys/kernel/mm/hugepages") && "this kernel is without CONFIG_HUGETLBFS",
}, () => {
  const fd = memfd_create(NAME, MFD_ALLOW_SEALING | MFD_HUGETLB);
  ftruncate(fd, GIB);
  fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
  assertThrows(() => new GuestRam([HIGH], [fd]), FrontEndError, "of ordinary pages");
  close(fd);
});
