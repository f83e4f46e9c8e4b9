import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { USR_HDR_MAX, UsrHdrPage } from "../../../ffi/abi/virtio_vsock_usr.ts";
import { VsockError } from "../../../src/error.ts";
import { UsrHeaders } from "../../../src/receive/usr_hdr.ts";

const SEQ = 3;

function page(hdrNum: number, ...headers: [length: number, flags: number][]): UsrHdrPage {
  const page = new UsrHdrPage(new Int32Array(1024));
  headers.forEach(([length, flags], index) => page.setHeader(index, length, flags));
  page.setHdrNum(hdrNum);
  return page;
}

function copied(headers: UsrHeaders): { first: number; length: number; flags: number }[] {
  return Array.from({ length: headers.count }, (_, i) => ({
    first: headers.firstPages[i]!,
    length: headers.lengths[i]!,
    flags: headers.flags[i]!,
  }));
}

function refuses(page: UsrHdrPage, dataPages: number, text: string): void {
  const headers = new UsrHeaders();
  const error = assertThrows(() => headers.read(page, dataPages, SEQ), VsockError, text);
  assertEquals([error.code, headers.count, headers.pages, headers.byteLength], ["EPROTO", 0, 0, 0]);
}

test("UsrHeaders.read() gives the cover letter's example its pages", () => {
  const headers = new UsrHeaders();
  headers.read(page(5, [56, 0], [4096, 0], [8200, 0], [0, 0]), 5, SEQ);
  assertEquals(copied(headers), [
    { first: 0, length: 56, flags: 0 },
    { first: 1, length: 4096, flags: 0 },
    { first: 2, length: 8200, flags: 0 },
  ]);
  assertEquals([headers.pages, headers.byteLength], [5, 12352]);
});

test("UsrHeaders.read() looks at no header where hdr_num is 0", () => {
  const headers = new UsrHeaders();
  headers.read(page(1, [9, 0]), 8, SEQ);
  headers.read(page(0, [4096, 1], [4096, 1]), 8, SEQ);
  assertEquals([headers.count, headers.pages, headers.byteLength], [0, 0, 0]);
});

test("UsrHeaders.read() stops where the pages add up to hdr_num, marker or not", () => {
  const headers = new UsrHeaders();
  headers.read(page(2, [1, 0], [2, 0], [0xffff_ffff, 0]), 8, SEQ);
  assertEquals(headers.count, 2);
});

test("UsrHeaders.read() takes 511 headers and no more", () => {
  const ones = Array.from({ length: USR_HDR_MAX }, (): [number, number] => [1, 1]);
  const headers = new UsrHeaders();
  headers.read(page(USR_HDR_MAX, ...ones), 600, SEQ);
  assertEquals([headers.count, headers.byteLength], [511, 511]);
  refuses(page(USR_HDR_MAX + 1, ...ones), 600, "511 headers hold 511 of 512 pages");
});

test("UsrHeaders.read() keeps only the flags of the mask", () => {
  const headers = new UsrHeaders();
  headers.read(page(2, [1, 0xffff_ffff], [1, 2]), 2, SEQ);
  assertEquals(copied(headers).map(({ flags }) => flags), [3, 2]);
  headers.read(page(2, [1, 0xffff_ffff], [1, 2]), 2, 0);
  assertEquals(copied(headers).map(({ flags }) => flags), [0, 0]);
});

test("UsrHeaders.read() refuses an hdr_num larger than the mapping", () => {
  refuses(page(6, [4096 * 6, 0]), 5, "hdr_num is 6 in a mapping of 5 pages");
  refuses(page(0xffff_ffff, [1, 0]), 5, "hdr_num is 4294967295 in a mapping of 5 pages");
});

test("UsrHeaders.read() refuses a packet that runs past hdr_num", () => {
  refuses(page(2, [4096, 0], [4097, 0]), 8, "header 1 has 4097 bytes for 1 pages");
  refuses(page(2, [0xffff_ffff, 0]), 8, "header 0 has 4294967295 bytes for 2 pages");
});

test("UsrHeaders.read() refuses headers that end before hdr_num", () => {
  refuses(page(3, [4096, 0], [0, 0], [4096, 0]), 8, "1 headers hold 1 of 3 pages");
  refuses(page(1, [0, 0]), 8, "0 headers hold 0 of 1 pages");
});

test("UsrHeaders.read() reads each word once, though it changes in between", () => {
  const reads = new Map<string, number>();
  const once = (word: string, value: number): number => {
    const count = (reads.get(word) ?? 0) + 1;
    reads.set(word, count);
    return count === 1 ? value : 0xffff_ffff;
  };
  const headers = new UsrHeaders();
  headers.read(
    {
      get hdrNum(): number {
        return once("hdr_num", 3);
      },
      headerLength: (index) => once(`length ${index}`, index === 0 ? 5000 : 1),
      headerFlags: (index) => once(`flags ${index}`, 1),
    },
    3,
    SEQ,
  );
  assertEquals(copied(headers), [
    { first: 0, length: 5000, flags: 1 },
    { first: 2, length: 1, flags: 1 },
  ]);
  assertEquals([...reads.values()], [1, 1, 1, 1, 1]);
});
