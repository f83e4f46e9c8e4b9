#!/usr/bin/env node
/**
 * The executable: `main()` on this process.
 *
 * @module
 */
import process from "node:process";
import { EXIT_INTERRUPTED } from "./command.ts";
import { main } from "./mod.ts";

// A reader that goes away (`vsockit ... | head -1`) ends the program, quietly.
process.stdout.on("error", () => process.exit());
const code = await main(process.argv.slice(2));
// What was interrupted is not printed to its end. A read of standard input that is pending would
// keep the process for ever.
if (code !== EXIT_INTERRUPTED) {
  await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
}
process.exit(code);
