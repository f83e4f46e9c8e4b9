/**
 * Debian's kernel 6.12 with its modules, and BusyBox.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Apt } from "./apt.ts";
import { cached } from "./cache.ts";

/** A kernel to boot. */
export interface Image {
  /** What `uname -r` says in it, e.g. `6.12.117+deb12-amd64`. */
  readonly release: string;
  /** The kernel. */
  readonly vmlinuz: string;
  /** The folder with its modules. */
  readonly modules: string;
  /** BusyBox, which needs no libraries. */
  readonly busybox: string;
}

const PREFIX = "linux-image-";
const PACKAGE = /^linux-image-6\.12\.\d+(\+deb\d+)?-amd64$/;

/** The kernel in the cache; where there is none yet, the newest one is fetched into it. */
export function kernelImage(cache: string): Image {
  const name = cachedImage(cache) ?? fetchImage(cache);
  const folder = join(cache, name);
  const release = name.slice(PREFIX.length);
  // Debian 12 unpacks to /lib, Debian 13 to /usr/lib; BusyBox likewise.
  const first = (...paths: readonly string[]): string => {
    const [found] = paths.map((path) => join(folder, path)).filter((path) => existsSync(path));
    if (found !== undefined) return found;
    throw new Error(`Cannot use ${folder}: must have ${paths.join(" or ")}; delete it`);
  };
  return {
    release,
    vmlinuz: first(`boot/vmlinuz-${release}`),
    modules: first(`lib/modules/${release}`, `usr/lib/modules/${release}`),
    busybox: first("bin/busybox", "usr/bin/busybox"),
  };
}

function cachedImage(cache: string): string | undefined {
  if (!existsSync(cache)) return undefined;
  return Apt.sorted(readdirSync(cache).filter((name) => PACKAGE.test(name))).at(-1);
}

function fetchImage(cache: string): string {
  using apt = new Apt();
  const name = apt.newest(PACKAGE);
  cached(cache, name, (folder) => apt.unpack([name, "busybox-static"], folder));
  return name;
}
