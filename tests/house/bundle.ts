/**
 * The end of `deno task build`: the package's entry points in `dist/`, and what they share in a few
 * chunks beside them. A runtime loads those several times as fast as each source on its own.
 *
 * All lie in one folder, so that `perf` finds its Worker's script beside itself, whichever chunk it
 * is in.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import { build, type Plugin } from "esbuild";
import { STD_NAMES } from "../std/names.ts";
import { read } from "./source.ts";
import { ROOT } from "./toolchain.ts";

/** npm knows `@std` by another name; the packages stay packages. */
const npmNames: Plugin = {
  name: "npm names",
  setup({ onResolve }): void {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      if (kind === "entry-point") return undefined;
      return { path: STD_NAMES.get(path) ?? path, external: true };
    });
  },
};

/** What `exports` of package.json names, by the source that deno.json has for it. */
function entryPoints(): Record<string, string> {
  const sources: Readonly<Record<string, string>> = JSON.parse(read("deno.json")).exports;
  const built: Readonly<Record<string, { readonly default: string }>> =
    JSON.parse(read("package.json")).exports;
  const named = Object.entries(built).map(([name, { default: path }]) => [
    path.slice("./dist/".length, -".js".length),
    sources[name]!,
  ]);
  return Object.fromEntries(named);
}

/** A class that names itself has another name inside of a bundle, `_` before it: what users see. */
function restoreNames(code: string): string {
  const renamed = Array.from(code.matchAll(/^var (\w+) = class _\1\b/gm));
  return renamed.reduce((code, [, name = ""]) => {
    return code.replaceAll(new RegExp(`\\b_${name}\\b`, "g"), name);
  }, code);
}

const { outputFiles } = await build({
  absWorkingDir: ROOT,
  entryPoints: {
    ...entryPoints(),
    main: "src/cli/main.ts",
    worker: "src/cli/perf/worker.ts",
  },
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "esnext",
  supported: { using: false }, // Node 22 cannot parse it, and has all that the loopback needs
  plugins: [npmNames],
  logLevel: "warning",
  write: false,
});
for (const { path, text } of outputFiles) writeFileSync(path, restoreNames(text));
