/**
 * Where the laboratory keeps what it has fetched and built: outside of the checkout.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

/** `VSOCKIT_CACHE`, or `vsockit` in the XDG cache folder. */
export function cacheFolder(): string {
  const { VSOCKIT_CACHE, XDG_CACHE_HOME } = process.env;
  return resolve(VSOCKIT_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "vsockit"));
}

/**
 * A folder of the cache that is made once.
 *
 * `make` fills an empty folder, which gets its name when it is whole: neither a process that dies
 * meanwhile nor a second one at the same time can leave half of it there.
 *
 * @returns Its path.
 */
export function cached(cache: string, name: string, make: (folder: string) => void): string {
  const whole = join(cache, name);
  if (existsSync(whole)) return whole;
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(join(cache, "draft-"));
  try {
    make(draft);
    renameSync(draft, whole);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(whole)) throw error;
  }
  return whole;
}
