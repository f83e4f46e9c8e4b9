/** Loans on an engine whose `transfer()` does what a test says: it is looked up at the import. */
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";

const { transfer } = ArrayBuffer.prototype;
type Transfer = (this: ArrayBuffer, length?: number) => ArrayBuffer;
let act: Transfer = transfer;
ArrayBuffer.prototype.transfer = function (length) {
  return act.call(this, length);
};
const { MappedRegion, pageSize } = await import("../../../ffi/memory.ts");
const { StolenViewError } = await import("../../../ffi/loans.ts");
const PAGE = pageSize();

test("Loans keeps no buffer of an engine that copies its bytes", () => {
  act = function (length) {
    const copy = this.slice(0, length);
    transfer.call(this, 0);
    return copy;
  };
  using region = new MappedRegion(PAGE);
  const watch = region.lend(0, PAGE);
  for (let round = 1; round <= 3; round++) {
    const view = region.lend(0, 8);
    view[0] = round;
    assertEquals(watch[0], round);
    region.release(view);
    assertEquals(view.length, 0);
  }
});

test("Loans takes a buffer that transfer() leaves its bytes for one that was transferred away", () => {
  const region = new MappedRegion(PAGE);
  const view = region.lend(0, 8);
  act = (length) => new ArrayBuffer(length!);
  assertThrows(() => region.release(view), StolenViewError, "1 transferred away");
  act = transfer;
  assertEquals([view.length, view[0]], [8, 0]);
});
