/**
 * Which runtime this is, by name.
 *
 * @module
 */
import { process } from "./builtins.ts";

/** Name and version, e.g. `"deno 2.9.6"`. Deno and Bun claim to be Node too, so they go first. */
export function runtimeName(): string {
  for (const name of ["deno", "bun", "node"]) {
    const version = process().versions[name];
    if (version !== undefined) return `${name} ${version}`;
  }
  return "unknown runtime";
}
