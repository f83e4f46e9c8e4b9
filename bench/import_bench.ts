/**
 * How long a program waits that imports `mod.ts`: this runtime is started on an empty script and on
 * one that imports it, in turn.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { loads } from "../tests/house/source.ts";
import { type Bench, median, type Round, type Target } from "./bench.ts";
import { runtimeArgs } from "./runtime_args.ts";

const STARTS = 20;
const MODULE = new URL("../mod.ts", import.meta.url);

/** Milliseconds until a runtime that was started on `script` has ended. */
function startOn(script: string): number {
  const begin = performance.now();
  execFileSync(process.execPath, [...runtimeArgs(), script], { stdio: "ignore" });
  return performance.now() - begin;
}

/** The two scripts; the runtime has them in its cache once they have run. */
class Scripts implements Disposable {
  readonly #folder: string = mkdtempSync(join(tmpdir(), "vsockit-bench-"));
  readonly empty: string = this.#write("empty.ts", "");
  readonly importing: string = this.#write("importing.ts", `import "${MODULE}";\n`);

  #write(name: string, text: string): string {
    const path = join(this.#folder, name);
    writeFileSync(path, text);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

function round(): Promise<Round> {
  using scripts = new Scripts();
  const [empty, importing]: [number[], number[]] = [[], []];
  for (let start = -2; start < STARTS; start++) {
    const [without, including] = [startOn(scripts.empty), startOn(scripts.importing)];
    if (start < 0) continue; // fills the cache
    empty.push(without);
    importing.push(including);
  }
  return Promise.resolve({
    import: median(importing) - median(empty),
    modules: loads("mod.ts").size,
  });
}

/** What is asked of the runtime that runs this: nothing of Node, which has to strip every type. */
function target(): { readonly target?: Target } {
  if ("Deno" in globalThis) return { target: { atMost: 15 } };
  return "Bun" in globalThis ? { target: { atMost: 10 } } : {};
}

/** The rows about `import`. */
export const importing: Bench = {
  rounds: 3,
  async prove(): Promise<void> {
    await import(MODULE.href);
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
    name: "import-modules",
    what: "the same, modules that it loads",
    ours: "modules",
    unit: "files",
  }],
};
