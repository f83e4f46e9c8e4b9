import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { OWN_NAMES } from "../std/names.ts";
import { TempFolder } from "../helpers/temp_folder.ts";
import { nodeEnv, run } from "./command.ts";
import { codeBlocks } from "./source.ts";
import { installRuntimes, ROOT } from "./toolchain.ts";

const runtimes = installRuntimes();
const { deno, bun, node, bin } = runtimes;
const env = nodeEnv(runtimes);
const [EXAMPLE = ""] = codeBlocks("README.md", "ts");
const [SHOWN = ""] = codeBlocks("README.md", "text");

/** Packs the package in `folder`, and installs it into an empty folder there. */
function install(folder: string): string {
  const path = join(folder, "installed");
  mkdirSync(path);
  const npm = join(bin, "npm");
  run(ROOT, [npm, "pack", "--pack-destination", folder], env);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "";
  run(path, [npm, "install", join(folder, tarball)], env);
  return path;
}

/** The README's example, on each runtime, from `node_modules`. */
function checkExample(path: string): void {
  writeFileSync(join(path, "example.mjs"), EXAMPLE);
  assertEquals(run(path, [node, "example.mjs"]).stdout, SHOWN);
  assertEquals(run(path, [bun, "example.mjs"]).stdout, SHOWN);
  const installed = ["run", "--no-prompt", "--node-modules-dir=manual", "example.mjs"];
  assertEquals(run(path, [deno, ...installed]).stdout, SHOWN);
}

/** The thread of a reactor, whose script is the text of a function. */
function checkWait(path: string): void {
  const program = `import { connect, listen } from "@vsockit/vsockit";
const address = { transport: "unix", path: "@vsockit-package-" + process.pid };
using listener = listen(address);
const accepting = listener.accept();
using near = await connect(address);
using far = await accepting;
setTimeout(() => near.write(new Uint8Array(3)), 100);
console.log(await far.read(new Uint8Array(8)));
`;
  writeFileSync(join(path, "wait.mjs"), program);
  for (const runtime of [node, bun]) {
    assertEquals(run(path, [runtime, "wait.mjs"], env).stdout, "3\n");
  }
}

/** What a bundle makes of the names of classes, which errors and consoles show. */
function checkNames(path: string): void {
  const program = `import * as vsockit from "@vsockit/vsockit";
const exported = Object.entries(vsockit).filter(([, value]) => typeof value === "function");
for (const [name, value] of exported) if (value.name !== name) console.log(value.name);
using listener = vsockit.listen({ cid: 1, port: 1024 }, { transport: "loopback" });
console.log(listener.socket.constructor.name);
`;
  writeFileSync(join(path, "names.mjs"), program);
  assertEquals(run(path, [node, "names.mjs"], env).stdout, "StackSocket\n");
}

/** The command, by itself and on each runtime; its Workers are files of the package. */
function checkCommand(path: string): void {
  const vsockit = join(path, "node_modules", ".bin", "vsockit");
  for (const command of [[vsockit], [node, vsockit], [bun, vsockit]]) {
    assertStringIncludes(run(path, [...command, "--help"], env).stdout, "Usage: vsockit");
    const { stdout } = run(path, [...command, "perf", "-m", "1", "--json"], env);
    assertEquals(JSON.parse(stdout).bytes, 1 << 20);
  }
}

/** What matches `form` in the package's scripts. */
function inScripts(path: string, form: RegExp): string[] {
  const dist = join(path, "node_modules", "@vsockit", "vsockit", "dist");
  const scripts = readdirSync(dist).filter((name) => name.endsWith(".js"));
  return scripts.flatMap((name) => readFileSync(join(dist, name), "utf8").match(form) ?? []);
}

/** Webpack takes such a URL for one of a file that is within, and of an expression for any. */
function checkUrls(path: string): void {
  assertEquals(inScripts(path, /new URL\([^;]*?, import\.meta\.url/g), []);
}

/** The command in a bundle of somebody's own: with the Worker of perf, or told how to have it. */
function checkBundle(path: string): void {
  const program = 'import { main } from "@vsockit/vsockit/cli";\n' +
    "process.exitCode = await main(process.argv.slice(2));\n";
  writeFileSync(join(path, "program.mjs"), program);
  const worker = "node_modules/@vsockit/vsockit/dist/worker.js";
  const naming = ["--entry-naming", "[name].[ext]"];
  const perf = ["perf", "-m", "1", "--json"];
  const lacking = join(path, "lacking");
  run(path, [bun, "build", "--compile", "--outfile", lacking, "program.mjs"]);
  const { status, stderr } = spawnSync(lacking, perf, { encoding: "utf8" });
  assertEquals(status, 1);
  assertStringIncludes(stderr, `bun build ${naming[0]} '${naming[1]}' PROGRAM ${worker}\n`);

  const whole = join(path, "whole");
  const entries = [...naming, "program.mjs", worker];
  run(path, [bun, "build", "--compile", "--outfile", whole, ...entries]);
  run(path, [bun, "build", "--target=node", "--outdir", "bundle", ...entries]);
  for (const command of [[whole], [node, "bundle/program.js"]]) {
    assertEquals(JSON.parse(run(path, [...command, ...perf]).stdout).bytes, 1 << 20);
  }
}

/** An executable of Node, by a bundle: it has the thread of a reactor within. */
function checkNodeExecutable(path: string): void {
  const executable = join(path, "executable");
  run(path, [bun, "build", "--target=node", "--outfile", "single.mjs", "wait.mjs"]);
  const config = { main: "single.mjs", mainFormat: "module", output: executable };
  writeFileSync(join(path, "sea.json"), JSON.stringify(config));
  run(path, [node, "--build-sea", "sea.json"]);
  using empty = new TempFolder();
  assertEquals(run(empty.path(), [executable]).stdout, "3\n");
}

/** Node 22 can parse the package, whose loopback it can run; the command says what that needs. */
function checkOldNode(path: string): void {
  assertEquals(inScripts(path, /^\s*(?:await )?using \w+ = .*/gm), []);
  const versions = "Object.defineProperty(process,'versions',{value:{node:'20.1.0'}})";
  const command = ["--import", `data:text/javascript,${versions}`];
  const vsockit = join(path, "node_modules", ".bin", "vsockit");
  const { status, stderr } = spawnSync(node, [...command, vsockit, "--help"], { encoding: "utf8" });
  assertEquals(status, 1);
  assertStringIncludes(
    stderr,
    "must run on Deno 2.9, Bun 1.4.3 or Node 26.9, or later: current value is node 20.1.0",
  );
}

/** They and the example need no types but those of the language and the web; http those of Node. */
function checkTypes(path: string): void {
  const names = Array.from(OWN_NAMES.keys());
  const http = names.filter((name) => name.endsWith("/http"));
  checkTypesOf(path, names.filter((name) => !http.includes(name)), []);
  const typeRoots = join(ROOT, "node_modules", "@types");
  checkTypesOf(path, http, ["--typeRoots", typeRoots, "--types", "node"]);
}

function checkTypesOf(path: string, names: readonly string[], types: readonly string[]): void {
  const lines = names.map((name, i) => `export * as m${i} from "${name}";\n`);
  writeFileSync(join(path, "types.mts"), lines.join("") + EXAMPLE);
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "esnext"];
  const lib = ["--lib", "esnext,dom,dom.asynciterable"];
  run(path, [node, compiler, ...flags, ...lib, ...types, "types.mts"]);
}

test("npm package installs, and its example, command and types work", { timeout: 600_000 }, () => {
  using folder = new TempFolder();
  const path = install(folder.path());
  checkExample(path);
  checkWait(path);
  checkNames(path);
  checkCommand(path);
  checkUrls(path);
  checkBundle(path);
  checkNodeExecutable(path);
  checkOldNode(path);
  checkTypes(path);
});

test("deno check takes the sources from a project that has no types of Node", {
  timeout: 300_000,
}, () => {
  using folder = new TempFolder();
  const { exports, imports } = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const sources = Object.values<string>(exports).map((path) => join(ROOT, path));
  const program = sources.map((path, i) => `export * as m${i} from "${path}";\n`).join("");
  writeFileSync(folder.path("deno.json"), JSON.stringify({ imports, lock: false }));
  writeFileSync(folder.path("program.ts"), program);
  run(folder.path(), [deno, "check", "program.ts"]);
});

test("deno publish --dry-run sends the library and nothing else", { timeout: 300_000 }, () => {
  const { stderr } = run(ROOT, [deno, "publish", "--dry-run", "--allow-dirty"]);
  const files = Array.from(stderr.matchAll(/file:\/\/\S+/g), ([url]) => new URL(url).pathname);
  const wanted =
    /^(mod\.ts|(ffi|src)\/[\w/]+\.ts|(README|MIGRATING|CHANGELOG)\.md|LICENSE|deno\.json)$/;
  assertEquals(files.filter((file) => !wanted.test(file.slice(ROOT.length))), []);
  assertGreater(files.length, 20);
});
