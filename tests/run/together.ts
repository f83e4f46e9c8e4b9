/**
 * Imports the test files that it is given. Deno loads all that a test file imports anew for each,
 * which takes longer than their tests where a guest does it.
 *
 * @module
 */
import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) await import(pathToFileURL(resolve(file)).href);
