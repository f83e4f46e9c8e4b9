/**
 * Which modules the guest loads, in which order.
 *
 * @module
 */
import type { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/**
 * The modules of these names and those that they depend on, in the order to load them, without
 * those that are built in.
 *
 * @param folders Searched for `NAME.ko` and `NAME.ko.xz` with all that is below; the first to have
 * a module wins.
 * @returns Name to content.
 */
export function loadOrder(
  folders: readonly string[],
  names: readonly string[],
): ReadonlyMap<string, Uint8Array> {
  const builtIn = new Set(folders.flatMap(builtInModules));
  const paths = new Map<string, string>();
  for (const folder of folders.toReversed()) {
    for (const file of globSync("**/*.ko{,.xz}", { cwd: folder })) {
      paths.set(moduleName(file), join(folder, file));
    }
  }
  const order = new Map<string, Uint8Array>();
  const visit = (name: string): void => {
    if (order.has(name) || builtIn.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) {
      const where = folders.join(" or ");
      throw new RangeError(
        `Cannot load a module: must be in ${where}: current value is ${name}`,
      );
    }
    const content = readModule(path);
    dependencies(content).forEach(visit);
    order.set(name, content);
  };
  names.forEach(visit);
  return order;
}

/** What the list says that a folder of modules comes with. */
function builtInModules(folder: string): string[] {
  const list = join(folder, "modules.builtin");
  return existsSync(list) ? readFileSync(list, "utf8").trim().split("\n").map(moduleName) : [];
}

/** The kernel's name for a module's file: it knows no dashes. */
function moduleName(path: string): string {
  return basename(path).replace(/\.ko(\.xz)?$/, "").replaceAll("-", "_");
}

function readModule(path: string): Buffer {
  if (!path.endsWith(".xz")) return readFileSync(path);
  return execFileSync("xz", ["-dc", path], { maxBuffer: 1 << 28 });
}

/** What the `.modinfo` section says: names between commas, all of them modules. */
function dependencies(module: Buffer): string[] {
  const key = "\0depends=";
  const at = module.indexOf(key, 0, "latin1");
  if (at < 0) return [];
  const start = at + key.length;
  const list = module.toString("latin1", start, module.indexOf(0, start));
  return list.split(",").filter((name) => name !== "").map((name) => name.replaceAll("-", "_"));
}
