/**
 * A receive mapping of the kernel: its views die before their pages, and no call touches others.
 */
import "../../vm/in_guest.ts";
import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { PROT_NONE, PROT_READ } from "../../../ffi/abi/mman.ts";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { SO_VM_SOCKETS_MAP_RX } from "../../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK, VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { StolenViewError } from "../../../ffi/loans.ts";
import { KernelMapping } from "../../../src/kernel/mapping.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { KernelTransport } from "../../../src/kernel/transport.ts";
import { bytes, queued, u64 } from "../../conformance/helpers.ts";
import { connected, receive, sendAll } from "../../conformance/verbs.ts";
import { assertSysError } from "../../helpers/sys_error.ts";
import { openPair } from "./pair.ts";

const transport = new KernelTransport();
const timeout = 60_000;

interface Ends extends Disposable {
  /** Receives by mapping. */
  readonly here: KernelSocket;
  readonly there: KernelSocket;
  readonly mapping: KernelMapping;
}

/** Two connected ends, and a mapping of `pages` data pages. */
async function open(pages: number): Promise<Ends> {
  const { here, there } = await openPair();
  const mapping = here.mmap((1 + pages) * 4096, PROT_READ);
  assertInstanceOf(mapping, KernelMapping);
  return {
    here,
    there,
    mapping,
    [Symbol.dispose]() {
      mapping.unmap();
      here.close();
      there.close();
    },
  };
}

/** Sends `data` and has it mapped. */
async function fill({ here, there, mapping }: Ends, data: Uint8Array): Promise<void> {
  await sendAll(there, data);
  await queued(here, data.length);
  mapping.mapRx();
}

test("KernelMapping.advise() kills the views before their pages go", { timeout }, async () => {
  using ends = await open(4);
  await fill(ends, bytes(5000));
  const { mapping } = ends;
  const [view, again] = [mapping.lend(0, 5000), mapping.lend(1, 904)];
  assertEquals(view, bytes(5000));
  assertEquals(again, bytes(5000).subarray(4096));
  mapping.advise();
  assertEquals([view.length, again.length, view[0]], [0, 0, undefined]);
  assertThrows(() => mapping.lend(0, 1), RangeError, "current value is 0 pages");
});

test("KernelMapping.lend() gives no page that is not there", { timeout }, async () => {
  using ends = await open(8);
  const { mapping } = ends;
  assertThrows(() => mapping.lend(0, 1), RangeError);
  await fill(ends, bytes(5000));
  const outside = [[2, 1], [0, 8193], [1, 4097], [-1, 1], [0.5, 1], [NaN, 1], [0, -1]] as const;
  for (const [page, length] of outside) {
    assertThrows(() => mapping.lend(page, length), RangeError);
  }
  assertEquals(mapping.lend(1, 4096).length, 4096);
});

test("KernelMapping.mapRx() of nothing keeps what is mapped readable", { timeout }, async () => {
  using ends = await open(4);
  await fill(ends, bytes(100));
  ends.mapping.mapRx();
  assertEquals(ends.mapping.lend(0, 100), bytes(100));
});

test("getsockopt(MAP_RX) with another address makes no page of this mapping lendable", {
  timeout,
}, async () => {
  using one = await open(4);
  using two = await open(4);
  await fill(one, bytes(100));
  one.mapping.advise();
  await sendAll(two.there, bytes(100));
  await two.here.wait(POLLIN);
  const mapRx = (address: number): number =>
    one.here.getsockopt(AF_VSOCK, SO_VM_SOCKETS_MAP_RX, u64(address));
  assertSysError("getsockopt", "EINVAL", () => mapRx(two.mapping.address));
  assertThrows(() => one.mapping.lend(0, 100), RangeError);
  two.mapping.mapRx();
  assertEquals(two.mapping.lend(0, 100), bytes(100));
});

test("a view that was transferred away keeps memory, and the socket receives by recv()", {
  timeout,
}, async () => {
  using ends = await open(4);
  await fill(ends, bytes(5000));
  const { here, there, mapping } = ends;
  const copy = mapping.lend(0, 5000).slice();
  const view = mapping.lend(0, 100);
  const kept = new Uint8Array((view.buffer as ArrayBuffer).transfer());
  assertThrows(() => mapping.advise(), StolenViewError);
  assertEquals([kept.length, kept.every((byte) => byte === 0)], [100, true]);
  assertEquals(copy, bytes(5000));
  assertEquals([mapping.mapped, mapping.readable()], [false, true]);
  assertSysError("getsockopt", "EINVAL", () => mapping.mapRx());
  mapping.unmap();
  await sendAll(there, bytes(50));
  await here.wait(POLLIN);
  assertEquals(receive(here, 100).data, bytes(50));
});

test("close() of a socket that is mapped tells the peer at once", { timeout }, async () => {
  using ends = await open(4);
  await fill(ends, bytes(5000));
  const { here, there, mapping } = ends;
  const view = mapping.lend(0, 5000);
  here.close();
  await there.wait(POLLIN);
  assertEquals(receive(there, 1).result, 0);
  assertEquals(view, bytes(5000));
  assertSysError("getsockopt", "EBADF", () => mapping.mapRx());
  mapping.unmap();
  assertEquals([view.length, mapping.page0.length], [0, 0]);
});

test("mmap() with PROT_NONE lends no live page 0", { timeout }, async () => {
  using listener = transport.socket("stream");
  listener.bind({ cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY });
  listener.listen(1);
  using here = transport.socket("stream");
  await connected(here, { cid: 1, port: listener.localAddress().port });
  const mapping = here.mmap(8192, PROT_NONE);
  assert(mapping.page0.every((word) => word === 0));
  assertThrows(() => mapping.lend(0, 1), RangeError);
  mapping.unmap();
});
