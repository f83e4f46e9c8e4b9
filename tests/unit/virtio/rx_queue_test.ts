import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { SysError } from "../../../ffi/errno.ts";
import { Credit, PACKET_OVERHEAD } from "../../../src/virtio/credit.ts";
import { PagePayload, PrivatePayload } from "../../../src/virtio/payload.ts";
import { type Piece, RxQueue } from "../../../src/virtio/rx_queue.ts";
import type { Payload } from "../../../src/virtio/packet.ts";

const EOM = 1;
const EOR = 2;

function queue(bufAlloc = 1 << 20): { rx: RxQueue; credit: Credit } {
  const credit = new Credit(bufAlloc);
  return { rx: new RxQueue(credit), credit };
}

function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** A payload that counts how often it is freed and revoked. */
class Watched extends PagePayload {
  freed = 0;
  revoked = 0;
  override free(): void {
    this.freed++;
    super.free();
  }
  override revoke(): void {
    this.revoked++;
    super.revoke();
  }
}

function map(rx: RxQueue, pages: number): Piece[] {
  const pieces: Piece[] = [];
  rx.map(pages, pieces);
  return pieces;
}

test("RxQueue.read() crosses packets and counts fwd_cnt per packet fully drained", () => {
  const { rx, credit } = queue();
  for (const value of [1, 2, 3]) assert(rx.push(new PrivatePayload(filled(1_000, value)), 0));
  const got = new Uint8Array(1_500);
  assertEquals(rx.read(got), 1_500);
  assertEquals([got[999], got[1_000], rx.rxBytes, credit.fwdCnt], [1, 2, 1_500, 1_000]);
  assertEquals(rx.peek(got), 1_500);
  assertEquals([got[0], got[500], rx.rxBytes], [2, 3, 1_500]);
  assertEquals(rx.read(got), 1_500);
  assertEquals([rx.length, credit.fwdCnt, credit.bufUsed], [0, 3_000, 0]);
});

test("RxQueue.push() merges packets of up to 128 bytes, never across the end of a message", () => {
  const { rx } = queue();
  rx.push(new PrivatePayload(filled(100, 1)), 0);
  rx.push(new PrivatePayload(filled(128, 2)), 0);
  assertEquals(rx.length, 1);
  rx.push(new PrivatePayload(filled(129, 3)), EOM);
  rx.push(new PrivatePayload(filled(1, 4)), EOM);
  assertEquals([rx.length, rx.rxBytes, rx.msgCount], [3, 358, 2]);
});

test("RxQueue.push() frees a packet that it merges, and merges none into one that is lent", () => {
  const { rx } = queue();
  const [big, small] = [new PagePayload(filled(5_000, 1), 3_000), new Watched(filled(10, 2))];
  rx.push(big, 0);
  rx.push(small, 0);
  assertEquals([rx.length, small.freed], [1, 1]);
  const [piece] = map(rx, 1);
  rx.push(new Watched(filled(10, 3)), 0);
  assertEquals(rx.length, 2);
  piece!.release();
});

test("RxQueue.push() refuses what breaks the credit, and nothing has changed", () => {
  const { rx, credit } = queue(10 * PACKET_OVERHEAD);
  for (let i = 0; i < 10; i++) assert(rx.push(new PagePayload(filled(200, i)), EOM));
  assertEquals(rx.push(new PagePayload(filled(200, 0)), EOM), false);
  assertEquals([rx.length, rx.rxBytes, rx.msgCount, credit.bufUsed], [10, 2_000, 10, 2_000]);
  assertEquals(queue(100).rx.push(new PagePayload(filled(101, 0)), 0), false);
});

test("RxQueue.push() collapses many small stream packets rather than to refuse them", () => {
  const { rx, credit } = queue();
  const payloads = Array.from({ length: 5_000 }, (_, i) => new Watched(filled(200, i & 255)));
  for (const [i, payload] of payloads.entries()) assert(rx.push(payload, 0), `${i}`);
  assertEquals(payloads[0]!.freed, 1);
  const got = new Uint8Array(200);
  let [drained, longest] = [0, 0];
  for (let i = 0; i < 5_000; i++) {
    assertEquals(rx.read(got), 200);
    assert(got.every((byte) => byte === (i & 255)), `packet ${i}`);
    longest = Math.max(longest, credit.fwdCnt - drained);
    drained = credit.fwdCnt;
  }
  assertEquals([rx.rxBytes, credit.bufUsed, credit.fwdCnt], [0, 0, 1_000_000]);
  assertEquals(longest, 161 * 200); // into less than 8 pages
});

test("RxQueue.push() that merges packets keeps the end of the message, and counts all bytes", () => {
  const { rx } = queue();
  rx.received = 0xffff_fff0;
  rx.push(new PrivatePayload(filled(100, 1)), 0);
  rx.push(new PrivatePayload(filled(100, 2)), EOM | EOR);
  rx.push(new PrivatePayload(filled(7, 3)), EOM);
  assertEquals([rx.length, rx.received], [2, 207 - 16]); // modulo 2^32
  const out = { flags: 0 };
  const got = new Uint8Array(300);
  assertEquals([rx.message(got, false, out), out.flags, got[199], got[200]], [200, EOR, 2, 0]);
  assertEquals([rx.message(got, false, out), out.flags, rx.rxBytes], [7, 0, 0]);
});

test("RxQueue.push() that collapses packets moves no end of a message, and repeats no byte", () => {
  const { rx, credit } = queue(60 * PACKET_OVERHEAD);
  rx.push(new PagePayload(filled(200, 1)), 0);
  rx.read(new Uint8Array(150));
  for (let i = 0; i < 20; i++) rx.push(new PagePayload(filled(200, 2)), 0);
  rx.push(new PagePayload(filled(200, 3)), EOM);
  for (let i = 0; i < 60; i++) assert(rx.push(new PagePayload(filled(200, 4)), 0));
  assert(rx.length < 30, `${rx.length} packets`);
  rx.push(new PagePayload(filled(200, 5)), EOM);
  const out = { flags: 0 };
  const got = new Uint8Array(20_000);
  assertEquals(rx.message(got, false, out), 50 + 21 * 200);
  assertEquals([got[49], got[50], got[50 + 4_000], rx.msgCount], [1, 2, 3, 1]);
  assertEquals(rx.message(got, false, out), 61 * 200);
  assertEquals([got[0], got[60 * 200], rx.msgCount, credit.bufUsed], [4, 5, 0, 0]);
});

test("RxQueue.peek() and message() have a payload owned whose bytes they copy and leave", () => {
  class Owned extends PagePayload {
    owned = 0;
    own(): void {
      this.owned++;
    }
  }
  const { rx } = queue();
  const [one, other] = [new Owned(filled(1, 1)), new Owned(filled(200, 2))];
  rx.push(one, EOM);
  rx.push(other, EOM);
  rx.peek(new Uint8Array(1));
  assertEquals([one.owned, other.owned], [1, 0]);
  rx.message(new Uint8Array(1), false, { flags: 0 });
  rx.message(new Uint8Array(0), true, { flags: 0 });
  assertEquals([one.owned, other.owned], [1, 0]);
  rx.message(new Uint8Array(1), true, { flags: 0 });
  assertEquals([one.owned, other.owned], [1, 1]);
});

test("RxQueue.message() takes one message of several packets, and drops what does not fit", () => {
  const { rx } = queue();
  rx.push(new PagePayload(filled(300, 1)), 0);
  rx.push(new PagePayload(filled(200, 2)), EOM | EOR);
  rx.push(new PagePayload(filled(7, 3)), EOM);
  const out = { flags: 0 };
  const got = new Uint8Array(400);
  assertEquals([rx.message(got, true, out), out.flags, rx.rxBytes], [500, EOR, 507]);
  assertEquals([rx.message(got, false, out), out.flags, got[299], got[399]], [500, EOR, 1, 2]);
  assertEquals([rx.message(got, false, out), out.flags, rx.rxBytes, rx.msgCount], [7, 0, 0, 0]);
});

test("RxQueue.map() gives the packet's own memory, and frees it once its piece is released", () => {
  const { rx } = queue();
  const payload = new Watched(filled(8_200, 9));
  const { buffer } = payload.bytes;
  rx.push(payload, EOM);
  const [piece] = map(rx, 3);
  const view = piece!.view();
  assert(view.buffer === buffer);
  assertEquals([piece!.length, piece!.flags, view.length, rx.rxBytes], [8_200, EOM, 8_200, 0]);
  assertEquals(payload.freed, 0);
  piece!.release();
  assertEquals([payload.freed, view.length], [1, 0]);
});

test("RxQueue.map() of a peer's own memory gives credit for it once it is free", () => {
  class Borrowed extends PagePayload {
    lend(start: number, length: number): Uint8Array {
      return this.bytes.subarray(start, start + length);
    }
  }
  const { rx, credit } = queue();
  for (const payload of [new Borrowed(filled(5_000, 1)), new PagePayload(filled(5_000, 2))]) {
    rx.push(payload, EOM);
  }
  const [borrowed, own] = map(rx, 4);
  assertEquals([rx.length, rx.msgCount, credit.fwdCnt], [0, 0, 5_000]);
  assertEquals([borrowed!.view(), own!.view()], [filled(5_000, 1), filled(5_000, 2)]);
  own!.release();
  assertEquals(credit.fwdCnt, 5_000);
  borrowed!.release();
  assertEquals([credit.fwdCnt, credit.bufUsed], [10_000, 0]);
});

test("RxQueue.map() continues a packet that is larger than the room, flags on its last piece", () => {
  const { rx, credit } = queue();
  const payload = new Watched(filled(10_000, 5));
  payload.bytes[8_192] = 77;
  rx.push(payload, EOM | EOR);
  const [first] = map(rx, 2);
  const early = first!.view();
  assertEquals([first!.length, first!.flags, rx.rxBytes, credit.fwdCnt], [8_192, 0, 1_808, 0]);
  first!.release();
  assertEquals([early.length, payload.revoked, payload.freed], [0, 1, 0]);
  const [second] = map(rx, 2);
  assertEquals([second!.length, second!.flags, second!.view()[0]], [1_808, EOM | EOR, 77]);
  second!.release();
  assertEquals([payload.freed, credit.fwdCnt, credit.bufUsed], [1, 10_000, 0]);
});

test("RxQueue.map() moves a partly read packet to a fresh page and drops nothing", () => {
  const { rx, credit } = queue();
  const data = Uint8Array.from({ length: 5_000 }, (_, i) => i & 255);
  const payload = new Watched(data);
  rx.push(payload, 0);
  rx.read(new Uint8Array(10));
  const [piece] = map(rx, 4);
  assertEquals([piece!.view(), payload.freed], [data.subarray(10), 1]);
  piece!.release();
  assertEquals([rx.rxBytes, credit.fwdCnt, credit.bufUsed], [0, 5_000, 0]);
});

test("RxQueue.map() gives what comes before a packet that cannot be moved", () => {
  const { rx } = queue();
  rx.push(new PagePayload(filled(4_096, 1)), 0);
  const pooled = new PrivatePayload(filled(4_096, 2));
  rx.push(pooled, 0);
  const { bytes } = pooled;
  pooled.bytes = bytes.subarray(1); // so that a copy of it fails, as where there is no memory
  assertEquals(map(rx, 4).map((piece) => piece.view()[0]), [1]);
  assertThrows(() => map(rx, 4), SysError);
  pooled.bytes = bytes;
  assertEquals(map(rx, 4).map((piece) => piece.view()[0]), [2]);
  assertEquals(rx.rxBytes, 0);
});

test("RxQueue.read() of a packet whose buffer a user took away is EFAULT, not silence", () => {
  const { rx } = queue();
  rx.push(new PagePayload(filled(8_192, 1)), 0);
  const [piece] = map(rx, 1);
  structuredClone(piece!.view().buffer, { transfer: [piece!.view().buffer as ArrayBuffer] });
  piece!.release();
  assertThrows(() => rx.read(new Uint8Array(1)), Error, "EFAULT");
});

test("RxQueue.clear() frees every packet once", () => {
  const { rx, credit } = queue();
  const payloads = [1, 2, 3].map((value) => new Watched(filled(500, value)));
  for (const payload of payloads) rx.push(payload, EOM);
  rx.clear();
  assertEquals(payloads.map(({ freed }) => freed), [1, 1, 1]);
  assertEquals([rx.length, rx.rxBytes, rx.msgCount, credit.bufUsed], [0, 0, 0, 0]);
});

test("Payloads show the bytes of their packet and zeros, nothing of others", () => {
  const old: Payload = new PrivatePayload(filled(4_096, 0xee));
  old.free();
  const page = new PagePayload(filled(10, 1), 4_086);
  assertEquals(new Uint8Array(page.bytes.buffer).indexOf(0xee), -1);
  assertEquals(new PagePayload(filled(10, 1)).bytes.buffer.byteLength, 10);
});

test("RxQueue.map() lends no memory that other payloads get later", () => {
  const { rx, credit } = queue();
  rx.push(new PrivatePayload(filled(100, 1)), 0);
  const [piece] = map(rx, 4);
  const view = piece!.view();
  piece!.release();
  assertEquals([view.length, credit.fwdCnt, rx.rxBytes], [0, 100, 0]);
  assertEquals(new PrivatePayload(filled(100, 2)).bytes[0], 2);
});

test("Piece.view() is EFAULT where a view of another piece took the packet's memory away", () => {
  const { rx } = queue();
  rx.push(new PagePayload(filled(2 * 4096, 1)), 0);
  const [first] = map(rx, 1);
  (first!.view().buffer as ArrayBuffer).transfer();
  const [second] = map(rx, 1);
  const error = assertThrows(() => second!.view(), SysError);
  assertEquals(error.code, "EFAULT");
});

test("RxQueue.discard() frees what nobody will read, and counts it until clear()", () => {
  const { rx, credit } = queue();
  const payloads = [1, 2].map((value) => new Watched(filled(8_192, value)));
  for (const payload of payloads) assert(rx.push(payload, EOM));
  const [piece] = map(rx, 1);
  rx.discard();
  assertEquals(payloads.map(({ freed }) => freed), [0, 1]);
  assertEquals([rx.rxBytes, rx.msgCount, credit.bufUsed, credit.fwdCnt], [12_288, 2, 16_384, 0]);
  piece!.release();
  rx.clear();
  assertEquals(payloads.map(({ freed }) => freed), [1, 1]);
  assertEquals([rx.rxBytes, rx.msgCount], [0, 0]);
});
