/**
 * `deno task vm`: runs a command in a kernel that is booted for it.
 *
 * @module
 */
import process from "node:process";
import { Unavailable } from "./apt.ts";
import { runInGuest } from "./guest.ts";
import { openLaboratory } from "./laboratory.ts";
import { requireListeners } from "./listening.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(args);
    requireListeners(options);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    return 125;
  }
  try {
    const laboratory = await openLaboratory(options.flavour, options.kernel);
    return await runInGuest(laboratory, options, process);
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    console.error(`vm: ${error.message}`);
    return 125;
  }
}

process.exitCode = await main(process.argv.slice(2));
