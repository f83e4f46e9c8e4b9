import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { SO_EE_CODE_ZEROCOPY_COPIED, SockExtendedErr } from "../../../ffi/abi/errqueue.ts";
import { EpollEvents } from "../../../ffi/abi/epoll.ts";
import { INADDR_LOOPBACK, SockaddrIn, SockaddrIn6 } from "../../../ffi/abi/in.ts";
import { PollFds } from "../../../ffi/abi/poll.ts";
import { TcpZerocopyReceive } from "../../../ffi/abi/tcp.ts";
import { decodeTimeval, encodeTimeval } from "../../../ffi/abi/time.ts";
import { encodeSockaddrUn } from "../../../ffi/abi/un.ts";
import {
  POLL_VALUE_CLOSED,
  POLL_VALUE_DATA,
  POLL_VALUE_EMPTY,
  USR_HDR_MAX,
  UsrHdrPage,
} from "../../../ffi/abi/virtio_vsock_usr.ts";
import { SockaddrVm, VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { layout } from "../../../ffi/layout.ts";

test("layout() aligns members, rounds the size up, and nests", () => {
  const inner = layout("struct inner", "x.h", { a: "u8", b: "u16" });
  const outer = layout("struct outer", "x.h", { c: "u8", d: [inner, 2], e: "ptr", f: "u8" });
  assertEquals([inner.size, inner.align, inner.at.b], [4, 2, 2]);
  assertEquals(outer.at, { c: 0, d: 2, e: 16, f: 24 });
  assertEquals(outer.sizes, { c: 1, d: 8, e: 8, f: 1 });
  assertEquals([outer.size, outer.align], [32, 8]);
});

test("layout() leaves no gap in a packed struct", () => {
  const packed = layout("struct p", "x.h", { a: "u8", b: "u64", c: "u16" }, { packed: true });
  assertEquals([packed.at.b, packed.at.c, packed.size, packed.align], [1, 9, 11, 1]);
});

test("UsrHdrPage reads the cover letter's example", () => {
  const words = Int32Array.of(1, 5, 56, 0, 4096, 0, 8200, 3, 0, 0);
  const page0 = new Int32Array(1024);
  page0.set(words);
  const page = new UsrHdrPage(page0);
  assertEquals([page.pollValue, page.hdrNum], [POLL_VALUE_DATA, 5]);
  assertEquals([0, 1, 2, 3].map((at) => page.headerLength(at)), [56, 4096, 8200, 0]);
  assertEquals([0, 1, 2, 3].map((at) => page.headerFlags(at)), [0, 0, 3, 0]);
});

test("UsrHdrPage writes what it reads, unsigned, on shared memory too", () => {
  for (const buffer of [new ArrayBuffer(8192), new SharedArrayBuffer(8192)]) {
    const page = new UsrHdrPage(new Int32Array(buffer));
    page.setHeader(USR_HDR_MAX - 1, 0xffff_fff0, 0x8000_0001);
    assertEquals(page.headerLength(USR_HDR_MAX - 1), 0xffff_fff0);
    assertEquals(page.headerFlags(USR_HDR_MAX - 1), 0x8000_0001);
    assertEquals(new Uint32Array(buffer).subarray(1022, 1025).join(), "4294967280,2147483649,0");
    page.setHdrNum(0xffff_ffff);
    assertEquals(page.hdrNum, 0xffff_ffff);
    page.storePollValue(POLL_VALUE_CLOSED);
    assertEquals(page.pollValue, POLL_VALUE_CLOSED);
  }
});

test("UsrHdrPage.swapPollValue() leaves what it did not expect", () => {
  const page = new UsrHdrPage(new Int32Array(1024));
  assertEquals(page.swapPollValue(POLL_VALUE_EMPTY, POLL_VALUE_DATA), POLL_VALUE_EMPTY);
  page.storePollValue(POLL_VALUE_CLOSED);
  assertEquals(page.swapPollValue(POLL_VALUE_DATA, POLL_VALUE_EMPTY), POLL_VALUE_CLOSED);
  assertEquals(page.pollValue, POLL_VALUE_CLOSED);
  assertEquals(page.swapPollValue(POLL_VALUE_CLOSED, POLL_VALUE_EMPTY), POLL_VALUE_CLOSED);
  assertEquals(page.pollValue, POLL_VALUE_EMPTY);
});

test("UsrHdrPage has no header outside of the page, and needs a whole one", () => {
  const page = new UsrHdrPage(new Int32Array(2048));
  for (const index of [-1, USR_HDR_MAX, 1e9]) {
    assertThrows(() => page.headerLength(index), RangeError);
    assertThrows(() => page.headerFlags(index), RangeError);
    assertThrows(() => page.setHeader(index, 1, 1), RangeError);
  }
  assertThrows(() => new UsrHdrPage(new Int32Array(1023)), RangeError, "current value is 1023");
});

test("SockaddrVm is 16 bytes in host order", () => {
  const address = new SockaddrVm(VMADDR_CID_ANY, 0x01020304, 1);
  const expected = [40, 0, 0, 0, 4, 3, 2, 1, 255, 255, 255, 255, 1, 0, 0, 0];
  assertEquals([...address.bytes], expected);
  assertEquals([address.family, address.cid, address.port], [40, VMADDR_CID_ANY, 0x01020304]);
});

test("SockaddrIn and SockaddrIn6 have port and address in network order", () => {
  const four = new SockaddrIn(INADDR_LOOPBACK, 0x1234);
  assertEquals([...four.bytes.subarray(0, 8)], [2, 0, 0x12, 0x34, 127, 0, 0, 1]);
  const six = new SockaddrIn6(Uint8Array.from({ length: 16 }, (_, at) => at), 0x1234);
  assertEquals([...six.bytes.subarray(0, 10)], [10, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 1]);
  assertEquals([six.port, six.bytes.length], [0x1234, 28]);
  assertThrows(() => new SockaddrIn6(new Uint8Array(4), 1), RangeError, "must be 16 bytes");
});

test("encodeSockaddrUn() ends a path with 0, an abstract name with its last byte", () => {
  assertEquals([...encodeSockaddrUn("/a")], [1, 0, 47, 97, 0]);
  assertEquals([...encodeSockaddrUn("\0a")], [1, 0, 0, 97]);
  assertEquals(encodeSockaddrUn("x".repeat(107)).length, 110);
  assertThrows(() => encodeSockaddrUn("x".repeat(108)), RangeError, "at most 107 bytes");
});

test("encodeTimeval() and decodeTimeval() carry milliseconds", () => {
  for (const ms of [0, 0.001, 1, 2.007, 999.999, 1_000, 1_234.5, 86_400_000]) {
    assertEquals(decodeTimeval(encodeTimeval(ms)), ms);
  }
  assertEquals([...encodeTimeval(1_500).subarray(0, 2)], [1, 0]);
  assertEquals(decodeTimeval(encodeTimeval(0.000_1)), 0.001); // 0 would be no limit
});

test("TcpZerocopyReceive asks with what it is given, and forgets what was before", () => {
  const receive = new TcpZerocopyReceive();
  receive.bytes.fill(0xff);
  assertEquals([receive.length, receive.err, receive.copybufLen], [0xffff_ffff, -1, -1]);
  receive.ask(0x7f12_3456_7000, 65_536);
  receive.askCopy(0x7f00_0000_0010, 4_096);
  receive.flags = 1;
  const view = new DataView(receive.bytes.buffer);
  assertEquals([view.getBigUint64(0, true), receive.length], [0x7f12_3456_7000n, 65_536]);
  assertEquals([view.getBigUint64(24, true), receive.copybufLen], [0x7f00_0000_0010n, 4_096]);
  assertEquals([view.getUint32(36, true), receive.recvSkipHint, receive.inq], [1, 0, 0]);
});

test("SockExtendedErr reads a record within a buffer, and no byte past its end", () => {
  const bytes = Uint8Array.of(9, 9, 5, 0, 0, 0, 5, 0, 1, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9);
  const record = new SockExtendedErr(bytes.subarray(2, 18));
  assertEquals([record.errno, record.origin, record.code], [5, 5, SO_EE_CODE_ZEROCOPY_COPIED]);
  assertEquals([record.info, record.data], [2, 4]);
  assertThrows(() => new SockExtendedErr(bytes.subarray(2, 17)).data, RangeError);
});

test("Structs refuse what their members cannot be", () => {
  const tooLarge = 2 ** 32;
  const calls: ((value: number) => unknown)[] = [
    (value) => new SockaddrVm(value, 0),
    (value) => new SockaddrVm(0, value),
    (value) => new SockaddrIn(value, 0),
    (value) => new SockaddrIn6(new Uint8Array(16), 0, value ?? NaN),
    (value) => new PollFds(value),
    (value) => new EpollEvents(value),
    (value) => new PollFds(1).set(0, value, 0),
  ];
  for (const call of calls) {
    for (const wrong of [NaN, 0.5, tooLarge, null, undefined, "1"]) {
      const rule = "must be an integer from ";
      assertThrows(() => call(wrong as number), RangeError, rule, String(call));
    }
  }
  for (const port of [-1, 65_536]) {
    const rule = "Cannot use port: must be an integer from 0 to 65535";
    assertThrows(() => new SockaddrIn(INADDR_LOOPBACK, port), RangeError, rule);
    assertThrows(() => new SockaddrIn6(new Uint8Array(16), port), RangeError, rule);
  }
  assertThrows(() => new SockaddrVm(2, 1, 256), RangeError, "Cannot use flags");
  for (const wrong of [NaN, Infinity, "1", null]) {
    assertThrows(() => encodeTimeval(wrong as number), RangeError, `value is ${wrong}`);
  }
});

test("Structs refuse what is no bytes, no words, no text", () => {
  const calls: ((value: never) => unknown)[] = [
    (value) => new SockaddrIn6(value, 0),
    (value) => new SockExtendedErr(value),
    (value) => new UsrHdrPage(value),
    (value) => decodeTimeval(value),
    (value) => encodeSockaddrUn(value),
    (value) => layout("struct none", "none.h", value),
    (value) => layout("struct none", "none.h", {}, value ?? null),
  ];
  for (const call of calls) {
    for (const wrong of [undefined, null, 1]) {
      assertThrows(() => call(wrong as never), TypeError, "must be a", String(call));
    }
  }
  assertThrows(() => new UsrHdrPage(new Uint8Array(4_096) as never), TypeError, "an Int32Array");
});
