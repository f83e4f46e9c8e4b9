/**
 * A kernel of Debian's with its modules, and BusyBox.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Apt } from "./apt.ts";
import { cached } from "./cache.ts";
import { DEFAULT_KERNEL } from "./options.ts";

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

/** Where Debian has the kernels, and a BusyBox, if not where this machine has its packages from. */
const SUITES: Readonly<Record<string, readonly string[]>> = {
  "5.10": ["debian bullseye", "debian-security bullseye-security"],
  "6.1": ["debian bookworm", "debian-security bookworm-security"],
  [DEFAULT_KERNEL]: [], // what this machine's apt knows
};
const NEWER: readonly string[] = ["debian trixie", "debian trixie-backports"];

/**
 * The newest kernel of that `version` in the cache; where there is none yet, one is fetched into
 * it.
 *
 * @param version The first two numbers, e.g. `6.12`.
 */
export function kernelImage(cache: string, version: string = DEFAULT_KERNEL): Image {
  const name = cachedImage(cache, version) ?? fetchImage(cache, version);
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
    vmlinuz: first(`boot/vmlinuz-${release}`, `usr/lib/modules/${release}/vmlinuz`),
    modules: first(`lib/modules/${release}`, `usr/lib/modules/${release}`),
    busybox: first("bin/busybox", "usr/bin/busybox"),
  };
}

/** The name of a package of that version: `linux-image-6.1.0-56-amd64` of 6.1, for one. */
function packageOf(version: string): RegExp {
  return new RegExp(`^${PREFIX}${RegExp.escape(version)}\\.\\d+(-\\d+)?(\\+deb\\d+)?-amd64$`);
}

function cachedImage(cache: string, version: string): string | undefined {
  if (!existsSync(cache)) return undefined;
  const pattern = packageOf(version);
  return Apt.sorted(readdirSync(cache).filter((name) => pattern.test(name))).at(-1);
}

function fetchImage(cache: string, version: string): string {
  using apt = new Apt(SUITES[version] ?? NEWER);
  const name = apt.newest(packageOf(version));
  // From 7.0 on the image is but a name for the others.
  const release = RegExp.escape(name.slice(PREFIX.length));
  const parts = apt.all(new RegExp(`^linux-(image|base|binary|modules)-${release}$`));
  cached(cache, name, (folder) => apt.unpack([...parts, "busybox-static"], folder));
  return name;
}
