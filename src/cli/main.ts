#!/usr/bin/env node
/**
 * The executable: `main()` on this process.
 *
 * @module
 */
import process from "node:process";
import { EXIT_INTERRUPTED, EXIT_TERMINATED } from "./command.ts";
import { findCommand } from "./commands.ts";
import { main } from "./mod.ts";

const args = process.argv.slice(2);
// A reader that goes away (`vsockit ... | head -1`) ends the program, quietly: not one that serves.
process.stdout.on("error", () => {
  if (findCommand(args[0])?.serves !== true) process.exit();
});
process.stderr.on("error", () => {}); // nobody left to tell
const code = await main(args);
// What was interrupted is not printed to its end. A read of standard input that is pending would
// keep the process for ever.
if (code !== EXIT_INTERRUPTED && code !== EXIT_TERMINATED) {
  await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
}
process.exit(code);
