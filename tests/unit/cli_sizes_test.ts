import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { formatSize, parseSize } from "../../src/cli/args/sizes.ts";
import { UsageError } from "../../src/cli/args/usage.ts";

test("parseSize() multiplies K, M and G by powers of 1024", () => {
  assertEquals(parseSize("-b", "4096"), 4096);
  assertEquals(parseSize("-b", "64K"), 65_536);
  assertEquals(parseSize("-b", "16m"), 16_777_216);
  assertEquals(parseSize("-b", "2G"), 2_147_483_648);
});

test("parseSize() counts a number without a letter in its unit, one with a letter in bytes", () => {
  assertEquals(parseSize("-m", "3", 1024 * 1024), 3_145_728);
  assertEquals(parseSize("-m", "3K", 1024 * 1024), 3072);
});

test("parseSize() refuses what is not a positive whole number, naming flag and value", () => {
  for (
    const text of ["", "0", "0K", "-1", "NaN", "1.5", "1e3", "0x10", "4KB", "K", " 4", "4 ", "∞"]
  ) {
    const error = assertThrows(() => parseSize("--buffer", text), UsageError);
    assertEquals(error.message.startsWith("Cannot use --buffer: must be a positive"), true);
    assertEquals(error.message.endsWith(`current value is ${text || '""'}`), true);
  }
});

test("parseSize() refuses what a double does not hold exactly", () => {
  assertEquals(parseSize("-b", "9007199254740991"), Number.MAX_SAFE_INTEGER);
  assertThrows(() => parseSize("-b", "9007199254740992"), UsageError);
  assertThrows(() => parseSize("-b", "99999999999G"), UsageError);
});

test("formatSize() gives what parseSize() reads back", () => {
  for (const [bytes, text] of [[1, "1"], [4096, "4K"], [4097, "4097"], [1536, "1536"]] as const) {
    assertEquals(formatSize(bytes), text);
  }
  for (const text of ["1023K", "1M", "2G", "2048G"]) {
    assertEquals(formatSize(parseSize("-b", text)), text);
  }
});
