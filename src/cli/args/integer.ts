/**
 * Integers on a command line; apart from flags, for Workers, which read none.
 *
 * @module
 */
import { wrongValue } from "./usage.ts";

/** `value` as an integer. @throws {UsageError} If it is none from `min` to `max`. */
export function toInteger(what: string, value: string, min: number, max: number): number {
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw wrongValue(what, `be an integer from ${min} to ${max}`, value);
}
