/**
 * Makes the names of `deno.json` known to Node: `node --import ./tests/std/node.ts`.
 *
 * Deno reads its import map itself, Bun reads the `paths` of `tsconfig.json`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";

interface Config {
  readonly name: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

const root = new URL("../../", import.meta.url);
const config: Config = JSON.parse(readFileSync(new URL("deno.json", root), "utf8"));

const names = new Map<string, string>();
for (const [key, path] of Object.entries(config.exports)) {
  names.set(config.name + key.slice(1), new URL(path, root).href);
}
for (const [name, target] of Object.entries(config.imports)) {
  names.set(name, target.replace(/^npm:([^/]+)@[^/@]+/, "$1"));
}

registerHooks({
  resolve: (specifier, context, next) => next(names.get(specifier) ?? specifier, context),
});
