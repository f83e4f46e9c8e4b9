/**
 * Which runtime this is, by name.
 *
 * @module
 */
import { runtimeHere } from "../../ffi/versions.ts";

/** Name and version, e.g. `"deno 2.9.6"`. */
export function runtimeName(): string {
  const runtime = runtimeHere();
  return runtime === undefined ? "unknown runtime" : `${runtime.name} ${runtime.version}`;
}
