/**
 * The kernel's own programs about AF_VSOCK, built from Debian's source of it.
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
  const scratch = mkdtempSync(join(tmpdir(), "vsockit-tools-"));
  try {
    using apt = new Apt();
    apt.unpack([SOURCE], scratch);
    const archive = join(scratch, "usr", "src", `${SOURCE}.tar.xz`);
    const parts = ["tools/testing/vsock", "tools/include"].map((part) => `${SOURCE}/${part}`);
    run("tar", ["-xJf", archive, "-C", scratch, ...parts]);
    const source = join(scratch, SOURCE, "tools", "testing", "vsock");
    run("make", ["-C", source, ...PROGRAMS]);
    for (const program of PROGRAMS) copyFileSync(join(source, program), join(folder, program));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function run(file: string, args: readonly string[]): void {
  try {
    execFileSync(file, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 5 * MINUTES });
  } catch (cause) {
    const message = `Cannot build ${PROGRAMS.join(" and ")}: ${file} failed: ` +
      "Debian's gcc, make, libc6-dev and xz-utils are needed (apt install build-essential xz-utils)";
    throw new Unavailable(message, { cause });
  }
}
