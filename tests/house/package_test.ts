import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { OWN_NAMES } from "../std/names.ts";
import { EmptyFolder, nodeEnv, run } from "./run.ts";
import { codeBlocks } from "./source.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";

const runtimes = installRuntimes();
const { deno, bun, node, bin } = runtimes;
const [EXAMPLE = ""] = codeBlocks("README.md", "ts");
const [SHOWN = ""] = codeBlocks("README.md", "text");
const folder = new EmptyFolder();
after(() => folder[Symbol.dispose]());

/** A folder that holds nothing but the installed package and the README's example. */
function install(): string {
  const path = join(folder.path, "installed");
  mkdirSync(path);
  const npm = join(bin, "npm");
  run(ROOT, [npm, "pack", "--pack-destination", folder.path], nodeEnv(runtimes));
  const tarball = readdirSync(folder.path).find((name) => name.endsWith(".tgz")) ?? "";
  writeFileSync(join(path, "package.json"), `{ "type": "module" }`);
  writeFileSync(join(path, "example.js"), EXAMPLE);
  run(path, [npm, "install", join(folder.path, tarball)], nodeEnv(runtimes));
  return path;
}

test("npm pack installs, and the example runs from it", { timeout: 600_000 }, () => {
  const path = install();
  assertEquals(run(path, [node, "example.js"]), SHOWN);
  assertEquals(run(path, [bun, "example.js"]), SHOWN);

  const command = join(path, "node_modules", ".bin", "vsockit");
  assertStringIncludes(run(path, [node, command, "--help"]), "Usage: vsockit");
  assertStringIncludes(run(path, [bun, command, "--help"]), "Usage: vsockit");
  assertStringIncludes(run(path, [command, "--help"], nodeEnv(runtimes)), "Usage: vsockit");
  const perf = run(path, [command, "perf", "-m", "1", "--json"], nodeEnv(runtimes));
  assertEquals(JSON.parse(perf).bytes, 1 << 20);

  // The declarations need no types but the language's and the web's.
  const imports = Array.from(OWN_NAMES.keys(), (name, i) => `export * as _${i} from "${name}";\n`);
  writeFileSync(join(path, "types.ts"), imports.join(""));
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "esnext"];
  run(ROOT, [
    ...[deno, "run", "-A", "--node-modules-dir=manual", compiler, ...flags],
    ...["--lib", "esnext,dom,dom.iterable,dom.asynciterable", join(path, "types.ts")],
  ]);
});

test("deno publish --dry-run sends the library and nothing else", { timeout: 300_000 }, () => {
  const listed = run(ROOT, [deno, "publish", "--dry-run", "--allow-dirty"]);
  console.log(listed);
});
