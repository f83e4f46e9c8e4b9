/** What libc refuses, and what it has not open. */
import { assertEquals, assertThrows } from "@std/assert";
import { type Code, SysError } from "../../ffi/errno.ts";

/** A number that no open file has. */
export const CLOSED = 1_000_000;

/** Asserts that `call` throws a `SysError` of that call of libc with that code. */
export function assertSysError(op: string, code: Code, call: () => unknown): void {
  const error = assertThrows(call, SysError);
  assertEquals([error.op, error.code], [op, code]);
}
