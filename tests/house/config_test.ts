import * as std from "@std/assert";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { NEEDED } from "../../ffi/versions.ts";
import { OWN_NAMES, STD_NAMES } from "../std/names.ts";
import { read } from "./source.ts";
import { ROOT } from "./toolchain.ts";

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly engines: { readonly bun: string; readonly node: string };
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

interface TsConfig {
  readonly compilerOptions: { readonly paths: Readonly<Record<string, readonly string[]>> };
}

const jsr: Package = JSON.parse(read("deno.json"));
const npm: Package = JSON.parse(read("package.json"));

test("package.json and deno.json are of one package", () => {
  const facts = ({ name, version, license }: Package): string[] => [name, version, license];
  assertEquals(facts(npm), facts(jsr));
});

test("package.json exports what deno.json does, built", () => {
  const built = Object.entries(jsr.exports).map(([name, path]) => {
    const types = `./dist/${String(path).slice(2, -".ts".length)}.d.ts`;
    return [name, { types, default: `./dist/${name === "." ? "mod" : name.slice(2)}.js` }];
  });
  assertEquals(npm.exports, Object.fromEntries(built));
});

test("package.json depends on the @std that deno.json imports", () => {
  const imports: Readonly<Record<string, string>> = JSON.parse(read("deno.json")).imports;
  for (const target of Object.values(imports)) {
    const [, name = "", version] = /^npm:(.+?)@([^/]+)/.exec(target) ?? [];
    assertEquals(npm.dependencies[name], version);
  }
});

test("README.md, package.json and errors want the same versions of runtimes", () => {
  const readme = read("README.md").replaceAll(/\s+/g, " ");
  assertStringIncludes(readme, NEEDED);
  const { bun, node } = npm.engines;
  assertStringIncludes(NEEDED, ` Bun ${bun.slice(2)} `);
  // The loopback's, too: a package manager may refuse to install it on an older one.
  assertStringIncludes(readme, `loopback and HTTP over it run on Node ${node.slice(2)} and later`);
});

test("tsconfig.json resolves the names that deno.json does", () => {
  const { compilerOptions }: TsConfig = JSON.parse(read("tsconfig.json"));
  const std = Array.from(STD_NAMES, ([name, path]) => [name, [`./node_modules/${path}`]]);
  const own = Array.from(OWN_NAMES, ([name, path]) => [name, [path]]);
  assertEquals(compilerOptions.paths, Object.fromEntries([...own, ...std]));
});

test("std.d.ts declares only what @std/assert has", () => {
  const [, block = ""] = /declare module "@std\/assert" \{([\s\S]*?)^\}/m
    .exec(read("tests/std/std.d.ts")) ?? [];
  const declared = Array.from(
    block.matchAll(/export (?:function|class) (\w+)/g),
    ([, name]) => name,
  );
  assertGreater(declared.length, 10);
  assertEquals(declared.filter((name) => !Object.hasOwn(std, name ?? "")), []);
});

test("README.md and CONTRIBUTING.md name tasks that there are", () => {
  const { tasks }: { tasks: Readonly<Record<string, unknown>> } = JSON.parse(read("deno.json"));
  const text = read("README.md") + read("CONTRIBUTING.md");
  const named = Array.from(text.matchAll(/\bdeno task (\w+(?::\w+)?)/g), ([, name = ""]) => name);
  assertEquals(named.filter((name) => !Object.hasOwn(tasks, name)), []);
  assertGreater(named.length, 5);
});

test("README.md and CONTRIBUTING.md name files that there are", () => {
  const text = read("README.md") + read("CONTRIBUTING.md");
  const named = text.match(/\b(?:bench|examples|ffi|src|tests)\/[a-z\d_./]+\.ts\b/g) ?? [];
  assertGreater(named.length, 5);
  assertEquals(named.filter((path) => !existsSync(join(ROOT, path))), []);
});
