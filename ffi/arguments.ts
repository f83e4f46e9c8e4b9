/**
 * Checks of arguments: what is wrong is refused before libc is called, or opened.
 *
 * @module
 */
import { byteLengthOf } from "./view.ts";

const INT_MAX = 0x7fff_ffff;
const UINT_MAX = 0xffff_ffff;
const encoder: TextEncoder = new TextEncoder();

/** Throws a RangeError unless `value` can be a file descriptor. */
export function requireFd(name: string, value: number): void {
  requireInteger(name, value, 0, INT_MAX);
}

/** Throws a RangeError unless `value` is an `int`: Bun would pass 0 in place of anything else. */
export function requireInt(name: string, value: number): void {
  requireInteger(name, value, -INT_MAX - 1, INT_MAX);
}

/** As `requireInt()`, for an `unsigned int`, or a smaller one. */
export function requireUint(name: string, value: number, max: number = UINT_MAX): void {
  requireInteger(name, value, 0, max);
}

/** Throws a RangeError unless `value` is a size, offset or address that a number has exactly. */
export function requireSize(name: string, value: number): void {
  requireInteger(name, value, 0, Number.MAX_SAFE_INTEGER);
}

function requireInteger(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  const rule = `must be an integer from ${min} to ${max}`;
  throw new RangeError(`Cannot use ${name}: ${rule}: current value is ${textOf(value)}`);
}

/** What `value` is, without a call of its own methods. */
export function textOf(value: unknown): string {
  return typeof value === "object" && value !== null
    ? Object.prototype.toString.call(value)
    : String(value);
}

/** Throws a TypeError unless `value` is an object. */
export function requireObject(name: string, value: object): void {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`Cannot use ${name}: must be an object: current value is ${textOf(value)}`);
}

/** Throws a TypeError unless `value` is an array. */
export function requireArray(name: string, value: readonly unknown[]): void {
  if (Array.isArray(value)) return;
  throw new TypeError(`Cannot use ${name}: must be an array: current value is ${textOf(value)}`);
}

/** How many bytes `value` has. Throws a TypeError unless it is a typed array or a DataView. */
export function requireBytes(name: string, value: ArrayBufferView): number {
  if (ArrayBuffer.isView(value)) return byteLengthOf(value);
  throw new TypeError(
    `Cannot use ${name}: must be a typed array or a DataView: ` +
      `current value is ${textOf(value)}`,
  );
}

/** Throws a TypeError unless `value` is a string. */
export function requireText(name: string, value: string): void {
  if (typeof value === "string") return;
  throw new TypeError(`Cannot use ${name}: must be a string: current value is ${textOf(value)}`);
}

/**
 * `text` as C has it, with a NUL behind it. Throws a TypeError unless it is a string, a RangeError
 * for a NUL within, where it would end.
 */
export function cString(name: string, text: string): Uint8Array<ArrayBuffer> {
  requireText(name, text);
  if (text.includes("\0")) {
    throw new RangeError(
      `Cannot use ${name}: must have no NUL: current value is ${JSON.stringify(text)}`,
    );
  }
  return encoder.encode(`${text}\0`);
}
