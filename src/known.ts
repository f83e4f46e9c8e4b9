/**
 * Bags of members that are all there are: a name that is not one of them is a slip.
 *
 * @module
 */
import { shown } from "./shown.ts";

/** Throws a TypeError unless `bag`, an object, has no members but those that are `known`. */
export function requireKnown(name: string, bag: object, known: readonly string[]): void {
  if (typeof bag !== "object" || bag === null) {
    throw new TypeError(`Cannot use ${name}: must be an object: current value is ${shown(bag)}`);
  }
  const unknown = Object.keys(bag).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  throw new TypeError(
    `Cannot use ${name}: must have no members but ${known.join(", ")}: ` +
      `current value has ${unknown.join(", ")}`,
  );
}
