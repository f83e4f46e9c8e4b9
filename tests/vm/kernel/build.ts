/**
 * Builds the modules of the lab flavour: Debian's sources of AF_VSOCK with the receive ABI put in.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Apt, Unavailable } from "../apt.ts";
import { cached } from "../cache.ts";
import { kernelImage } from "../image.ts";

const SOURCE = "linux-source-6.12";
const MINUTES = 60_000;

/** What is compiled, or patched and compiled; paths of the kernel's tree. */
const KERNEL_FILES = [
  "drivers/vhost/vhost.h",
  "drivers/vhost/vsock.c",
  "include/linux/virtio_vsock.h",
  "include/net/af_vsock.h",
  "include/net/vsock_addr.h",
  "net/vmw_vsock/af_vsock.c",
  "net/vmw_vsock/af_vsock_tap.c",
  "net/vmw_vsock/virtio_transport.c",
  "net/vmw_vsock/virtio_transport_common.c",
  "net/vmw_vsock/vsock_addr.c",
  "net/vmw_vsock/vsock_bpf.c",
  "net/vmw_vsock/vsock_loopback.c",
] as const;

const PATCH = "rx_map.patch";

/** Ours, and where they go in that tree. */
const OWN_FILES = [
  ["Kbuild", "Kbuild"],
  ["virtio_rx_map.c", "net/vmw_vsock/virtio_rx_map.c"],
  ["virtio_rx_pages.c", "net/vmw_vsock/virtio_rx_pages.c"],
  ["vsock_rx_map.c", "net/vmw_vsock/vsock_rx_map.c"],
  ["vsock_rx_map.h", "include/net/vsock_rx_map.h"],
] as const;

/**
 * The modules for the kernel in the cache, built where that has not been done for this kernel and
 * these sources.
 *
 * @param cacheFolder Where the laboratory keeps what it has fetched and built.
 * @returns The folder with the `.ko` files, in the cache.
 * @throws {Unavailable} Where a package or a tool is out of reach.
 */
export async function buildModules(cacheFolder: string): Promise<string> {
  const { release } = kernelImage(cacheFolder);
  const hash = createHash("sha256");
  for (const name of ["build.ts", PATCH, ...OWN_FILES.map(([name]) => name)]) {
    hash.update(await readFile(own(name)));
  }
  const name = `lab-modules-${release}-${hash.digest("hex").slice(0, 16)}`;
  return cached(cacheFolder, name, (folder) => {
    const kernel = cached(cacheFolder, `lab-kernel-${release}`, (to) => fetchKernel(release, to));
    const tree = mkdtempSync(join(tmpdir(), "vsockit-modules-"));
    try {
      compile(join(kernel, "usr", "src", `linux-headers-${release}`), join(kernel, SOURCE), tree);
      for (const module of globSync("*.ko", { cwd: tree })) {
        copyFileSync(join(tree, module), join(folder, module));
      }
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  });
}

/** Path of a file beside this one. */
function own(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** The headers to build modules of `release` against, and its own sources of AF_VSOCK. */
function fetchKernel(release: string, folder: string): void {
  const scratch = mkdtempSync(join(tmpdir(), "vsockit-source-"));
  try {
    using apt = new Apt();
    const version = release.replace(/-amd64$/, "");
    const headers = `linux-headers-${release}`;
    apt.unpack([headers, `linux-headers-${version}-common`, `linux-kbuild-${version}`], folder);
    const built = join(folder, "usr", "src", headers);
    // It expects to be installed; make(1) enters this folder, so a path from here will do.
    const makefile = join(built, "Makefile");
    writeFileSync(makefile, readFileSync(makefile, "utf8").replace("/usr/src/", "../"));
    const id = readFileSync(join(built, "include", "generated", "package.h"), "utf8");
    const [, debian] = /" Debian (\S+)"/.exec(id) ?? [];
    apt.unpack([debian === undefined ? SOURCE : `${SOURCE}=${debian}`], scratch);
    const archive = join(scratch, "usr", "src", `${SOURCE}.tar.xz`);
    const files = KERNEL_FILES.map((file) => `${SOURCE}/${file}`);
    run("tar", ["-xJf", archive, "-C", folder, ...files]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function compile(headers: string, source: string, tree: string): void {
  cpSync(source, tree, { recursive: true });
  for (const [name, place] of OWN_FILES) copyFileSync(own(name), join(tree, place));
  run("patch", ["-s", "-p1", "-F0", "-d", tree, "-i", own(PATCH)]);
  // No types for BPF: they would take one more tool.
  run("make", ["-s", "-C", headers, `M=${tree}`, "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
  run("strip", ["--strip-debug", ...globSync("*.ko", { cwd: tree }).map((ko) => join(tree, ko))]);
}

function run(file: string, args: readonly string[]): void {
  try {
    execFileSync(file, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 10 * MINUTES,
    });
  } catch (cause) {
    const message = `Cannot build the modules of the laboratory: ${file} failed: ` +
      "Debian's gcc, make, patch, binutils and xz-utils are needed " +
      "(apt install build-essential xz-utils)";
    throw new Unavailable(message, { cause });
  }
}
