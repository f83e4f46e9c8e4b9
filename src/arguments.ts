/**
 * What callers give, checked before anything is touched.
 *
 * @module
 */
import { shown } from "./shown.ts";

const U32_MAX = 0xffff_ffff;

/** Throws a TypeError unless `value` is an object. */
export function requireObject(name: string, value: unknown): asserts value is object {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`Cannot use ${name}: must be an object: current value is ${shown(value)}`);
}

/**
 * Throws a TypeError where `bag` is no object, or has a member that is not `known`: a name with a
 * typo would else be ignored.
 */
export function requireKnown(name: string, bag: object, known: readonly string[]): void {
  requireObject(name, bag);
  const unknown = Object.keys(bag).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  throw new TypeError(
    `Cannot use ${name}: must have no members but ${known.join(", ")}: ` +
      `current value has ${unknown.join(", ")}`,
  );
}

/** Throws a TypeError unless `value` is a function. */
export function requireFunction(name: string, value: unknown): void {
  if (typeof value === "function") return;
  throw new TypeError(`Cannot use ${name}: must be a function: current value is ${shown(value)}`);
}

/** Throws a TypeError unless `value` is a `SocketType`. */
export function requireType(value: unknown): void {
  if (value === "stream" || value === "seqpacket") return;
  throw new TypeError(
    `Cannot use type: must be "stream" or "seqpacket": current value is ${shown(value)}`,
  );
}

/** Throws a TypeError unless `value` is a number. */
export function requireNumber(name: string, value: unknown): asserts value is number {
  if (typeof value === "number") return;
  throw new TypeError(`Cannot use ${name}: must be a number: current value is ${shown(value)}`);
}

/** Throws a TypeError or RangeError unless `value` is a number from `min` to `max`. */
export function requireWithin(name: string, value: unknown, min: number, max: number): void {
  requireNumber(name, value);
  if (value >= min && value <= max) return;
  throw new RangeError(
    `Cannot use ${name}: must be a number from ${min} to ${max}: current value is ${value}`,
  );
}

/** Throws a TypeError or RangeError unless `value` is an integer from `min` to `max`. */
export function requireInteger(name: string, value: number, min: number, max: number): void {
  requireNumber(name, value);
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(
    `Cannot use ${name}: must be an integer from ${min} to ${max}: current value is ${value}`,
  );
}

/** Throws a TypeError or RangeError unless `value` is an unsigned 32-bit integer. */
export function requireU32(name: string, value: number): void {
  requireInteger(name, value, 0, U32_MAX);
}
