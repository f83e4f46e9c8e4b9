/**
 * How long a program waits that imports `mod.ts`, or the npm package: this runtime is started on an
 * empty script and on one that imports it, in turn.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { RUNTIME } from "../tests/helpers/runtime.ts";
import { TempFolder } from "../tests/helpers/temp_folder.ts";
import { loads } from "../tests/house/source.ts";
import { ROOT } from "../tests/house/toolchain.ts";
import { type Bench, median, type Round, type Target } from "./bench.ts";

/** Nothing more than it takes: what else is loaded would be there for the empty script, too. */
const ARGS = { deno: ["run", "--no-check", "-A"], bun: ["run"], node: ["--no-warnings"] }[RUNTIME];
const STARTS = 20;
const MODULE = new URL("../mod.ts", import.meta.url);
const BUILT = new URL("../dist/mod.js", import.meta.url);

/** Milliseconds until a runtime that was started on `script` has ended. */
function startOn(script: string): number {
  const begin = performance.now();
  execFileSync(process.execPath, [...ARGS, script], { stdio: "ignore" });
  return performance.now() - begin;
}

function round(): Promise<Round> {
  using folder = new TempFolder();
  const write = (name: string, text: string): string => {
    writeFileSync(folder.path(name), text);
    return folder.path(name);
  };
  const empty = write("empty.ts", "");
  const importing = write("importing.ts", `import "${MODULE}";\n`);
  const built = write("built.ts", `import "${BUILT}";\n`);
  const times = new Map<string, number[]>([[empty, []], [importing, []], [built, []]]);
  for (let start = -2; start < STARTS; start++) {
    for (const [script, ms] of times) {
      const taken = startOn(script);
      if (start >= 0) ms.push(taken); // the others fill the cache
    }
  }
  const over = (script: string): number => median(times.get(script)!) - median(times.get(empty)!);
  return Promise.resolve({
    import: over(importing),
    built: over(built),
    modules: loads("mod.ts").size,
  });
}

/** What is asked of the runtime that runs this: nothing of Node, which has to strip every type. */
function target(): { readonly target?: Target } {
  if (RUNTIME === "node") return {};
  return { target: { atMost: RUNTIME === "deno" ? 15 : 10 } };
}

/** The rows about `import`. */
export const importing: Bench = {
  rounds: 3,
  async prove(): Promise<void> {
    const deno = process.env["VSOCKIT_DENO"] ?? "deno";
    execFileSync(deno, ["task", "build"], { cwd: ROOT, stdio: "ignore" });
    await import(MODULE.href);
    await import(BUILT.href);
  },
  round,
  rows: [{
    ...target(),
    name: "import",
    what: "import of mod.ts, over an empty script",
    ours: "import",
    unit: "ms",
    note: `medians of ${STARTS} starts each, in turn, from sources in the runtime's cache`,
  }, {
    name: "import-npm",
    what: "import of the npm package, over an empty script",
    ours: "built",
    unit: "ms",
    note: "dist/mod.js, as deno task build makes it",
  }, {
    name: "import-modules",
    what: "the same, modules that it loads",
    ours: "modules",
    unit: "files",
  }],
};
