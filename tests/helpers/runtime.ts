/** Where tests run. */
import process from "node:process";

/** The runtime at hand: `"deno"`, `"bun"` or `"node"`. */
export const RUNTIME: string =
  ["deno", "bun", "node"].find((name) => process.versions[name] !== undefined) ?? "none";
