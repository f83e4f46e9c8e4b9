/**
 * What the import map of `deno.json` says, for those who cannot read it.
 *
 * @module
 */
import { readFileSync } from "node:fs";

interface Config {
  readonly name: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

const { name, exports, imports }: Config = JSON.parse(
  readFileSync(new URL("../../deno.json", import.meta.url), "utf8"),
);

/** Where this package's own names lead, e.g. `@vsockit/vsockit/ffi` to `./ffi/mod.ts`. */
export const OWN_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(exports).map(([key, path]) => [name + key.slice(1), path]),
);

/** What npm calls the modules of `@std`, e.g. `deno-std/assert/mod.js` for `@std/assert`. */
export const STD_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(imports).map(([key, target]) => [key, target.replace(/^npm:(.+?)@[^/]+/, "$1")]),
);
