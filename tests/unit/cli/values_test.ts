import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { formatSize, toBytes, UsageError } from "../../../src/cli/args/values.ts";

const MAX = Number.MAX_SAFE_INTEGER;

test("toBytes() multiplies K, M and G by powers of 1024", () => {
  assertEquals(toBytes("-b", "4096", 1, MAX), 4096);
  assertEquals(toBytes("-b", "64K", 1, MAX), 65_536);
  assertEquals(toBytes("-b", "16m", 1, MAX), 16_777_216);
  assertEquals(toBytes("-b", "2G", 1, MAX), 2_147_483_648);
});

test("toBytes() counts a number without a letter in its unit, one with a letter in bytes", () => {
  assertEquals(toBytes("-m", "3", 1, MAX, 1024 * 1024), 3_145_728);
  assertEquals(toBytes("-m", "3K", 1, MAX, 1024 * 1024), 3072);
});

test("toBytes() refuses what is no whole number within bounds, and says both", () => {
  for (
    const text of ["", "0", "0K", "-1", "NaN", "1.5", "1e3", "0x10", "4KB", "K", " 4", "4 ", "∞"]
      .concat(["65537", "65K", "9007199254740992", "99999999999G"])
  ) {
    const error = assertThrows(() => toBytes("--buffer", text, 1, 65_536), UsageError);
    assertEquals(
      error.message,
      "Cannot use --buffer: must be a whole number, alone or with K, M or G behind it, " +
        `of 1 to 65536 bytes: current value is ${text || '""'}`,
    );
  }
});

test("toBytes() takes its bounds, and what a double holds exactly", () => {
  assertEquals(toBytes("--mss", "0", 0, 8), 0);
  assertEquals(toBytes("-b", "64K", 1, 65_536), 65_536);
  assertEquals(toBytes("-b", "9007199254740991", 1, MAX), MAX);
  assertThrows(() => toBytes("-b", "9007199254740992", 1, MAX), UsageError);
});

test("formatSize() gives what toBytes() reads back", () => {
  for (const [bytes, text] of [[1, "1"], [4096, "4K"], [4097, "4097"], [1536, "1536"]] as const) {
    assertEquals(formatSize(bytes), text);
  }
  for (const text of ["1023K", "1M", "2G", "2048G"]) {
    assertEquals(formatSize(toBytes("-b", text, 1, MAX)), text);
  }
});
