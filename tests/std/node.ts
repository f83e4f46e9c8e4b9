/**
 * Makes the names of `deno.json` known to Node: `node --import ./tests/std/node.ts`.
 *
 * Deno reads its import map itself, Bun reads the `paths` of `tsconfig.json`.
 *
 * @module
 */
import { registerHooks } from "node:module";
import { OWN_NAMES, STD_NAMES } from "./names.ts";

const root = new URL("../../", import.meta.url);

registerHooks({
  resolve(specifier, context, next) {
    const own = OWN_NAMES.get(specifier);
    if (own !== undefined) return next(new URL(own, root).href, context);
    return next(STD_NAMES.get(specifier) ?? specifier, context);
  },
});
