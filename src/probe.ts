/**
 * What this machine can do, and why not.
 *
 * @module
 */
import { type Finding, type Look, lookSafely } from "./probe/finding.ts";
import { MODULE_LOOKS } from "./probe/modules.ts";
import { RUNTIME_LOOKS } from "./probe/runtime.ts";
import { SYSTEM_LOOKS } from "./probe/system.ts";
import { VSOCK_LOOKS } from "./probe/vsock.ts";
import { requireObject } from "./arguments.ts";
import { shown } from "./shown.ts";

const LOOKS: ReadonlyMap<string, Look> = new Map([
  ...Object.entries(RUNTIME_LOOKS),
  ...Object.entries(VSOCK_LOOKS),
  ...Object.entries(MODULE_LOOKS),
  ...Object.entries(SYSTEM_LOOKS),
]);

/** What {@linkcode probe} looks at: a few words on each, by its name. */
export const CAPABILITIES: ReadonlyMap<string, string> = new Map(
  Array.from(LOOKS, ([name, { about }]) => [name, about]),
);

/**
 * Finds out what this machine can do, by name: see {@linkcode CAPABILITIES}. It never throws for
 * what is missing: that is what a finding says, and how it can be had.
 *
 * It only looks: sockets are made, bound and closed again, and nothing is ever sent or connected
 * over AF_VSOCK. A TCP connection of this machine to itself is made and closed.
 *
 * @param names What to look at. @default {all of them}
 * @throws {TypeError} If a name is none of {@linkcode CAPABILITIES}.
 *
 * @example Say why CID 1 is out of reach
 * ```ts
 * import { probe } from "@vsockit/vsockit";
 *
 * const local = probe(["reach_local"]).get("reach_local");
 * if (local?.ok === false) console.log(`${local.why}: ${local.cure}`);
 * ```
 */
export function probe(
  names: Iterable<string> = CAPABILITIES.keys(),
): ReadonlyMap<string, Finding> {
  requireObject("names", names);
  const wanted = [...names];
  for (const name of wanted) {
    if (!LOOKS.has(name)) {
      const known = [...LOOKS.keys()].join(", ");
      throw new TypeError(`Cannot probe: must be of ${known}: current value is ${shown(name)}`);
    }
  }
  return new Map(wanted.map((name) => [name, lookSafely(LOOKS.get(name)!)]));
}
