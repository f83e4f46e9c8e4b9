/** What setsockopt(2) of AF_VSOCK reads, where the kernel is not called. */
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { encodeTimeval } from "../../ffi/abi/time.ts";
import { SysError } from "../../ffi/errno.ts";
import { readTimeval } from "../../src/option_bytes.ts";

function words(seconds: bigint, micros: bigint): Uint8Array {
  return new Uint8Array(BigInt64Array.of(seconds, micros).buffer);
}

test("readTimeval() reads what encodeTimeval() writes, to the microsecond", () => {
  for (const ms of [0, 0.001, 2_000, 7_999.999]) assertEquals(readTimeval(encodeTimeval(ms)), ms);
});

test("readTimeval() takes microseconds below 0 for none, as Linux does", () => {
  assertEquals([readTimeval(words(5n, -1n)), readTimeval(words(0n, -1n))], [5_000, 0]);
});

test("readTimeval() throws ERANGE past what is a time, EINVAL where bytes are missing", () => {
  for (const [seconds, micros] of [[-1n, 0n], [0n, 1_000_000n], [1n << 53n, 0n]] as const) {
    assertThrows(() => readTimeval(words(seconds, micros)), SysError, "ERANGE");
  }
  assertThrows(() => readTimeval(new Uint8Array(15)), SysError, "EINVAL");
});
