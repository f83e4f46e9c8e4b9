/**
 * The command line of `deno task vm`.
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "@std/cli/parse-args";

/** `stock` is Debian's kernel, `lab` the same with the modules that `kernel/` builds. */
export type Flavour = "stock" | "lab";

/** All flavours there are. */
export const FLAVOURS: readonly Flavour[] = ["stock", "lab"];

/** The kernel that guests have unless told otherwise, and the one that `lab` is made for. */
export const DEFAULT_KERNEL = "6.12";

/** What to run in which guest. */
export interface Options {
  readonly flavour: Flavour;
  /** The first two numbers of the kernel's version. */
  readonly kernel: string;
  /** From the start of QEMU to the command's end. */
  readonly timeoutSeconds: number;
  readonly cpus: number;
  readonly memoryMiB: number;
  /** Modules to load besides those that every guest has. */
  readonly load: readonly string[];
  /** The folder that is `/results` in the guest; one that is thrown away where not given. */
  readonly results?: string;
  /**
   * Unix socket of a vhost-user backend that is the guest's vsock device; it has none otherwise.
   */
  readonly vhostUser?: string;
  /** Unix socket that the guest's port "control" is connected to; it has none otherwise. */
  readonly control?: string;
  /** Unix socket that gets QEMU's monitor, in QMP; there is none otherwise. */
  readonly monitor?: string;
  /** Program and arguments. */
  readonly command: readonly string[];
}

const SOCKETS = ["vhost-user", "control", "monitor"] as const;

/** How to call it. */
export const USAGE = `usage: deno task vm -- [OPTION]... COMMAND [ARGUMENT]...
  --flavour stock|lab  Debian's kernel, or the same with the modules of tests/vm/kernel (stock)
  --kernel VERSION     5.10, 6.1, or a newer one that Debian has ($VSOCKIT_KERNEL, or 6.12)
  --timeout SECONDS    for boot and COMMAND (600)
  --cpus N             (2)
  --memory MIB         (2048)
  --load MODULE        one more to load; may be repeated
  --results FOLDER     what is /results in the guest
  --vhost-user SOCKET  a backend that listens there is the guest's vsock device
  --control SOCKET     what $VSOCKIT_CONTROL, a port of the guest, is connected to
  --monitor SOCKET     gets QEMU's monitor`;

/** Reads the arguments; options end where COMMAND begins. Throws RangeError or TypeError. */
export function parseOptions(args: readonly string[]): Options {
  const rest = args[0] === "--" ? args.slice(1) : args; // deno task passes its own on
  const end = optionsEnd(rest);
  const given = parseArgs(rest.slice(0, end), {
    string: ["flavour", "kernel", "timeout", "cpus", "memory", "load", "results", ...SOCKETS],
    collect: ["load"],
    unknown: refuseOption,
  });
  const command = rest.slice(rest[end] === "--" ? end + 1 : end);
  if (command.length === 0) throw new TypeError("Cannot boot: there is no COMMAND");
  return {
    flavour: parseFlavour(given.flavour ?? "stock"),
    kernel: parseKernel(given.kernel ?? defaultKernel()),
    timeoutSeconds: whole("timeout", given.timeout ?? "600", 86_400),
    cpus: whole("cpus", given.cpus ?? "2", 64),
    memoryMiB: whole("memory", given.memory ?? "2048", 65_536),
    load: given.load,
    ...(given.results !== undefined && { results: given.results }),
    ...(given["vhost-user"] !== undefined && { vhostUser: given["vhost-user"] }),
    ...(given.control !== undefined && { control: given.control }),
    ...(given.monitor !== undefined && { monitor: given.monitor }),
    command,
  };
}

/** Where COMMAND begins: each option has a value, behind a "=" or as the next argument. */
function optionsEnd(args: readonly string[]): number {
  let end = 0;
  while (args[end]?.startsWith("--") && args[end] !== "--") {
    end += args[end]?.includes("=") ? 1 : 2;
  }
  return end;
}

/** The flavour of that name. Throws RangeError where there is none. */
export function parseFlavour(name: string): Flavour {
  const flavour = FLAVOURS.find((known) => known === name);
  if (flavour !== undefined) return flavour;
  const known = FLAVOURS.join(" or ");
  throw new RangeError(`Cannot boot: flavour must be ${known}: current value is ${name}`);
}

/** `VSOCKIT_KERNEL`, by which a whole run of tests gets another kernel, or 6.12. */
export function defaultKernel(): string {
  return process.env["VSOCKIT_KERNEL"] || DEFAULT_KERNEL;
}

/** Whether guests have a kernel before `version`, two numbers. */
export function isKernelBefore(version: string): boolean {
  return defaultKernel().localeCompare(version, "en", { numeric: true }) < 0;
}

function parseKernel(version: string): string {
  if (/^\d+\.\d+$/.test(version)) return version;
  const form = "two numbers as in 6.12";
  throw new RangeError(`Cannot boot: kernel must be ${form}: current value is ${version}`);
}

function whole(name: string, text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= most) return value;
  const range = `a whole number from 1 to ${most}`;
  throw new RangeError(`Cannot boot: ${name} must be ${range}: current value is ${text}`);
}

function refuseOption(arg: string, key?: string): void {
  if (key !== undefined) throw new TypeError(`Cannot boot: ${arg} is no option`);
}
