#!/usr/bin/env node
/**
 * The executable: `main()` on this process.
 *
 * @module
 */
import process from "node:process";
import { main } from "./mod.ts";

// A reader that goes away (`vsockit ... | head -1`) ends the program, quietly.
process.stdout.on("error", () => process.exit());
process.exitCode = await main(process.argv.slice(2));
