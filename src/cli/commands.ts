/**
 * The subcommands that there are.
 *
 * @module
 */
import { cat } from "./cat/command.ts";
import type { Command } from "./command.ts";
import { completionsFor } from "./completions/command.ts";
import { device } from "./device/command.ts";
import { doctor } from "./doctor/command.ts";
import { perf } from "./perf/command.ts";
import { proxy } from "./proxy/command.ts";
import { ss } from "./ss/command.ts";
import { test } from "./test/command.ts";

const WORKING: readonly Command[] = [perf, test, cat, proxy, device, ss, doctor];

/** All of them, in the order of `--help`. */
export const COMMANDS: readonly Command[] = [...WORKING, completionsFor(WORKING)];

/** The subcommand of that name. */
export function findCommand(name: string | undefined): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
}
