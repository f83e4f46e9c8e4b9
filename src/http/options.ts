/**
 * What the options of a server and of a client may be.
 *
 * @module
 */
import { requireNumber } from "../arguments.ts";

/** Throws unless `value` is a number of things, at least one, or Infinity. */
export function requireCount(name: string, value: unknown): asserts value is number {
  requireNumber(name, value);
  if (value >= 1 && (Number.isInteger(value) || value === Infinity)) return;
  throw new RangeError(
    `Cannot use ${name}: must be an integer of at least 1, or Infinity: current value is ${value}`,
  );
}
