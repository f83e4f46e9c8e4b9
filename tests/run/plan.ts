/**
 * Which process runs which tests.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import process from "node:process";
import { openLaboratory } from "../vm/laboratory.ts";
import type { Flavour } from "../vm/options.ts";
import type { Choice } from "./choice.ts";
import { type Command, denoTest, onRuntimes } from "./commands.ts";

/** One process that runs tests; or why there is none. */
export type Run =
  | { readonly name: string; readonly command: Command }
  | { readonly name: string; readonly obstacle: Error };

/** All of them: those that boot no guest, and those that do, what takes longest first. */
export interface Plan {
  readonly bootless: readonly Run[];
  readonly booting: readonly Run[];
}

const DOCUMENTED: readonly string[] = ["README.md", "mod.ts", "ffi", "src"];
const GUEST_SECONDS = 1500;
/** A kernel that has less than the others, and tests that show what is made of that. */
const OLDER = "6.1";
const ON_OLDER: readonly string[] = ["tests/guest/doctor_test.ts", "tests/guest/messages_test.ts"];

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
  if (suite.length > 0) bootless.push(...named("", onRuntimes(runtimes, suite)));
  if (deno && house.length > 0) bootless.push(denoRun("house (deno)", "--no-check", ...house));
  if (deno && everything) bootless.push(denoRun("docs (deno)", "--doc", ...DOCUMENTED));
  const booting: Run[] = [];
  if (guest.length > 0) {
    for (const flavour of flavours) booting.push(...await guestRuns(flavour, runtimes, guest));
  }
  if (deno && everything) booting.push(await olderRun());
  if (host.length > 0) booting.push(...await hostRuns(runtimes, host));
  if (deno && laboratory.length > 0) booting.push(await laboratoryRun(laboratory));
  return { bootless, booting };
}

function denoRun(name: string, ...args: readonly string[]): Run {
  return { name, command: denoTest(...args) };
}

function named(prefix: string, commands: ReadonlyMap<string, Command>): Run[] {
  return Array.from(commands, ([runtime, command]) => ({
    name: prefix === "" ? runtime : `${prefix} (${runtime})`,
    command,
  }));
}

async function laboratoryRun(files: readonly string[]): Promise<Run> {
  const name = "vm (deno)";
  const obstacle = await obstacleTo("lab"); // which takes all that stock takes
  return obstacle === undefined ? denoRun(name, "--no-check", ...files) : { name, obstacle };
}

/** What runs here, and boots guests. */
async function hostRuns(runtimes: readonly string[], files: readonly string[]): Promise<Run[]> {
  const obstacle = await obstacleTo("stock");
  if (obstacle !== undefined) return [{ name: "host", obstacle }];
  return named("host", onRuntimes(runtimes, files));
}

/** A boot for each runtime, so that what goes wrong under one leaves the others alone. */
async function guestRuns(
  flavour: Flavour,
  runtimes: readonly string[],
  guest: readonly string[],
): Promise<Run[]> {
  const other = flavour === "lab" ? "stock" : "lab";
  const files = guest.filter((file) => !file.startsWith(`tests/guest/${other}/`));
  if (files.length === 0) return [];
  const name = `guest ${flavour}`;
  const obstacle = await obstacleTo(flavour);
  if (obstacle !== undefined) return [{ name, obstacle }];
  const inside = onRuntimes(runtimes, files);
  return named(name, new Map(Array.from(inside, ([key, run]) => [key, inGuest(flavour, run)])));
}

async function olderRun(): Promise<Run> {
  const name = `guest ${OLDER} (deno)`;
  const obstacle = await obstacleTo("stock", OLDER);
  if (obstacle !== undefined) return { name, obstacle };
  const command = denoTest("--no-check", ...ON_OLDER);
  return { name, command: inGuest("stock", command, ["--kernel", OLDER]) };
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
