/**
 * What a test expects, and how it says that it found something else.
 *
 * @module
 */
import { type Code, SysError } from "../../../ffi/errno.ts";
import type { Socket } from "../../socket.ts";
import { getOption, setOption, type Sockopt } from "../../sockopt.ts";

/** Fails unless `found` is `expected`. */
export function expect(
  what: string,
  found: number | bigint | string,
  expected: typeof found,
): void {
  if (found !== expected) throw new Error(`${what}: expected ${expected}, got ${found}`);
}

/** Fails unless `found` has the bytes of `expected`. */
export function expectBytes(what: string, found: Uint8Array, expected: Uint8Array): void {
  expect(`${what}, length`, found.length, expected.length);
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  if (at !== -1) expect(`${what}, byte ${at}`, found[at]!, expected[at]!);
}

/** Fails unless `call` is refused with `code`. */
export function expectErrno(what: string, code: Code, call: () => unknown): void {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return expect(what, error.code, code);
  }
  throw new Error(`${what}: expected ${code}, got ${result}`);
}

/** setsockopt(2), then getsockopt(2), which must give the same: `setsockopt_ull_check()`. */
export function setAndCheck(socket: Socket, option: Sockopt<number>, value: number): void {
  setOption(socket, option, value);
  expect(option.name, getOption(socket, option), value);
}
