/**
 * Which process runs which tests.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { basename, dirname } from "node:path";
import process from "node:process";
import type { Runtime } from "../helpers/runtime.ts";
import { openLaboratory } from "../vm/laboratory.ts";
import type { Flavour } from "../vm/options.ts";
import type { Choice } from "./choice.ts";
import { type Command, denoTest, type FilesCommand, onDeno, onRuntimes } from "./commands.ts";

/** One process that runs tests; or why there is none. */
export type Run =
  & { readonly name: string; readonly file?: string }
  & ({ readonly command: Command } | { readonly obstacle: Error });

/** All of them: those that boot no guest, and those that do, what takes longest first. */
export interface Plan {
  readonly bootless: readonly Run[];
  readonly booting: readonly Run[];
}

/** How many processes run tests at once. */
export const LANES: number = Math.min(availableParallelism(), 16);

const DOCUMENTED: readonly string[] = ["README.md", "mod.ts", "ffi", "src"];
const GUEST_SECONDS = 1500;
/** Kernels that have less and more than 6.12, and the tests that show what is made of that. */
const OTHER_KERNELS: readonly string[] = ["6.1", "7.3"];
const KERNEL_TESTS: readonly string[] = ["conformance", "doctor", "messages", "stock/namespaces"]
  .map((name) => `tests/guest/${name}_test.ts`);

/** What to run. What holds for all runtimes at once is tested on Deno alone. */
export async function plan({ runtimes, flavours, files, everything }: Choice): Promise<Plan> {
  const within = (folder: string): string[] => files.filter((file) => file.startsWith(folder));
  const house = within("tests/house/");
  const laboratory = within("tests/vm/");
  const host = within("tests/host/");
  const guest = within("tests/guest/");
  const apart = [house, laboratory, host, guest].flat();
  const suite = files.filter((file) => !apart.includes(file));
  const deno = runtimes.includes("deno");
  const bootless: Run[] = [];
  if (suite.length > 0) bootless.push(...runtimeRuns("", runtimes, suite));
  if (deno && house.length > 0) bootless.push(...oneByOne("house (deno)", onDeno, house));
  if (deno && everything) {
    bootless.push({ name: "docs (deno)", command: denoTest("--doc", ...DOCUMENTED) });
  }
  const booting: Run[] = [];
  if (guest.length > 0) {
    for (const flavour of flavours) booting.push(...await guestRuns(flavour, runtimes, guest));
  }
  if (deno && everything) booting.push(...await Promise.all(OTHER_KERNELS.map(kernelRun)));
  if (host.length > 0) booting.push(...await hostRuns(runtimes, host));
  if (deno && laboratory.length > 0) booting.push(...await laboratoryRuns(laboratory));
  return { bootless, booting };
}

/** A process for each file: one that does not end is known by its name. */
function oneByOne(name: string, command: FilesCommand, files: readonly string[]): Run[] {
  return files.map((file) => ({ name, file, command: command([file]) }));
}

/** The files on each runtime; `prefix` begins the names of the runs. */
function runtimeRuns(
  prefix: string,
  runtimes: readonly Runtime[],
  files: readonly string[],
): Run[] {
  return Array.from(onRuntimes(runtimes)).flatMap(([runtime, command]) =>
    oneByOne(prefix === "" ? runtime : `${prefix} (${runtime})`, command, files)
  );
}

async function laboratoryRuns(files: readonly string[]): Promise<Run[]> {
  const name = "vm (deno)";
  const obstacle = await obstacleTo("lab"); // which takes all that stock takes
  return obstacle === undefined ? oneByOne(name, onDeno, files) : [{ name, obstacle }];
}

/** What runs here, and boots guests. */
async function hostRuns(runtimes: readonly Runtime[], files: readonly string[]): Promise<Run[]> {
  const obstacle = await obstacleTo("stock");
  if (obstacle !== undefined) return [{ name: "host", obstacle }];
  return runtimeRuns("host", runtimes, files);
}

/** A boot for each runtime, so that what goes wrong under one leaves the others alone. */
async function guestRuns(
  flavour: Flavour,
  runtimes: readonly Runtime[],
  guest: readonly string[],
): Promise<Run[]> {
  const other = flavour === "lab" ? "stock" : "lab";
  const files = guest.filter((file) => !file.startsWith(`tests/guest/${other}/`));
  if (files.length === 0) return [];
  const name = `guest ${flavour}`;
  const obstacle = await obstacleTo(flavour);
  if (obstacle !== undefined) return [{ name, obstacle }];
  return Array.from(onRuntimes(runtimes), ([runtime, command]) => ({
    name: `${name} (${runtime})`,
    command: inGuest(flavour, command(files)),
  }));
}

async function kernelRun(kernel: string): Promise<Run> {
  const name = `guest ${kernel} (deno)`;
  const obstacle = await obstacleTo("stock", kernel);
  if (obstacle !== undefined) return { name, obstacle };
  return { name, command: inGuest("stock", onDeno(KERNEL_TESTS), ["--kernel", kernel]) };
}

function inGuest(flavour: Flavour, command: Command, kernel: readonly string[] = []): Command {
  return (report) => [
    ...[process.execPath, "run", "-A", "tests/vm/main.ts", "--flavour", flavour, ...kernel],
    ...["--timeout", `${GUEST_SECONDS}`, "--results", dirname(report)],
    ...["--load", "vsock_diag", "--"],
    ...command(`/results/${basename(report)}`),
  ];
}

/** Why a guest cannot be booted here. */
async function obstacleTo(flavour: Flavour, kernel?: string): Promise<Error | undefined> {
  try {
    await openLaboratory(flavour, kernel);
    return undefined;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}
