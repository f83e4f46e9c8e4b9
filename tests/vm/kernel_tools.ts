/**
 * The kernel's own programs about AF_VSOCK and TCP, built from Debian's source of it.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Apt, Unavailable } from "./apt.ts";
import { cached } from "./cache.ts";

const SOURCE = "linux-source-6.12";
const PROGRAMS = ["vsock_test", "vsock_perf"] as const;
const MINUTES = 60_000;

/** Paths of the programs, each by its name. */
export type KernelTools = Readonly<Record<typeof PROGRAMS[number], string>>;

/** The programs in the cache; where there are none yet, they are built into it. */
export function kernelTools(cache: string): KernelTools {
  const folder = cached(cache, `tools-of-${SOURCE}`, build);
  return { vsock_test: join(folder, "vsock_test"), vsock_perf: join(folder, "vsock_perf") };
}

function build(folder: string): void {
  withSource(["tools/testing/vsock", "tools/include"], (tree) => {
    const source = join(tree, "tools", "testing", "vsock");
    run("make", ["-C", source, ...PROGRAMS]);
    for (const program of PROGRAMS) copyFileSync(join(source, program), join(folder, program));
  });
}

/** The kernel's own benchmark of `TCP_ZEROCOPY_RECEIVE` in the cache; built there as the others. */
export function tcpMmap(cache: string): string {
  const folder = cached(cache, `tcp_mmap-of-${SOURCE}`, (folder) => {
    withSource(["tools/testing/selftests/net/tcp_mmap.c"], (tree) => {
      const source = join(tree, "tools", "testing", "selftests", "net", "tcp_mmap.c");
      // The digest that it can take of all bytes is OpenSSL's.
      run("cc", ["-O2", "-w", "-o", join(folder, "tcp_mmap"), source, "-lpthread", "-lcrypto"]);
    });
  });
  return join(folder, "tcp_mmap");
}

/** Has `use` see the kernel's tree, with no more than `parts` in it. */
function withSource(parts: readonly string[], use: (tree: string) => void): void {
  const scratch = mkdtempSync(join(tmpdir(), "vsockit-tools-"));
  try {
    using apt = new Apt();
    apt.unpack([SOURCE], scratch);
    const archive = join(scratch, "usr", "src", `${SOURCE}.tar.xz`);
    run("tar", ["-xJf", archive, "-C", scratch, ...parts.map((part) => `${SOURCE}/${part}`)]);
    use(join(scratch, SOURCE));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function run(file: string, args: readonly string[]): void {
  try {
    execFileSync(file, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 5 * MINUTES });
  } catch (cause) {
    const message = `Cannot build programs of ${SOURCE}: ${file} failed: Debian's gcc, make, ` +
      "libc6-dev and xz-utils are needed (apt install build-essential xz-utils), " +
      "and for tcp_mmap libssl-dev";
    throw new Unavailable(message, { cause });
  }
}
