/**
 * The first root of the guest, with the command in it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname } from "node:path";
import process from "node:process";
import { installRuntimes, ROOT } from "../house/toolchain.ts";
import { cpio } from "./cpio.ts";
import { CONTROL_PORT, initScript } from "./init.ts";
import type { KernelTools } from "./kernel_tools.ts";
import { loadOrder } from "./kernel_modules.ts";
import type { Laboratory } from "./laboratory.ts";
import type { Options } from "./options.ts";

/** What a guest needs for its root, its ports and AF_VSOCK; a kernel may have it built in. */
const MODULES: readonly string[] = [
  ...["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "vsock_loopback"],
];
/** The driver of the vsock device. */
const DRIVER = "vmw_vsock_virtio_transport";

/** Packs BusyBox, the modules and the script that runs the command; `mark` as in `init.ts`. */
export function makeInitramfs(
  { image, modules, tools }: Laboratory,
  { flavour, load, vhostUser, control, command }: Options,
  mark: string,
): Buffer {
  const driver = vhostUser === undefined ? [] : [DRIVER];
  const loaded = loadOrder(modules, [...MODULES, ...driver, ...load]);
  const script = initScript({
    modules: Array.from(loaded.keys()),
    command,
    cwd: ROOT,
    env: {
      ...guestEnv(flavour, tools),
      ...(control !== undefined && { VSOCKIT_CONTROL: CONTROL_PORT }),
    },
    npmCache: npmCache(),
    control: control !== undefined,
    mark,
  });
  return cpio(
    new Map<string, Uint8Array>([
      ["init", Buffer.from(script)],
      ["bin/busybox", readFileSync(image.busybox)],
      ...Array.from(loaded, ([name, content]) => [`modules/${name}.ko`, content] as const),
    ]),
  );
}

function guestEnv(flavour: string, tools: KernelTools): Record<string, string> {
  const { deno, bun, node } = installRuntimes();
  const path = [...[deno, bun, node].map(dirname), process.env["PATH"] ?? ""].join(delimiter);
  const given = Object.entries(process.env).filter(([name]) => name.startsWith("VSOCKIT_"));
  return {
    ...Object.fromEntries(given) as Record<string, string>,
    ...{ PATH: path, HOME: homedir(), LANG: "C.UTF-8", TERM: "dumb", NO_COLOR: "1" },
    DENO_DIR: "/run/deno", // in memory: SQLite wants locks that 9p has not
    DENO_NO_UPDATE_CHECK: "1",
    NODE_COMPILE_CACHE: "/run/node",
    VSOCKIT_GUEST: flavour,
    VSOCK_TEST: tools.vsock_test,
    VSOCK_PERF: tools.vsock_perf,
  };
}

/** Where Deno keeps npm packages; a guest without a network has to find them there. */
function npmCache(): string {
  const info = execFileSync(process.execPath, ["info", "--json"], { encoding: "utf8" });
  const { npmCache }: { npmCache: string } = JSON.parse(info);
  return npmCache;
}
