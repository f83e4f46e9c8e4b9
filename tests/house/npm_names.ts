/**
 * The end of `deno task build`: npm knows `@std` by another name, and tsc leaves names as they are.
 *
 * @module
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { STD_NAMES } from "../std/names.ts";
import { ROOT } from "./toolchain.ts";

const dist = join(ROOT, "dist");
for (const file of globSync("**/*.js", { cwd: dist })) {
  const path = join(dist, file);
  const code = readFileSync(path, "utf8");
  const renamed = code.replace(
    /(?<= from ")@std\/[^"]+/g,
    (name) => STD_NAMES.get(name) ?? name,
  );
  if (renamed !== code) writeFileSync(path, renamed);
}
