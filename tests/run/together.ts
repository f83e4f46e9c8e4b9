/**
 * Imports the test files that it is given, which share what they import: a guest takes longer to
 * load that than to test. A file that cannot be loaded is a test that fails: by themselves Deno and
 * Node say nothing of it once it has tests. What goes on after the last test, as one does whose
 * time is up, keeps no process alive: that is so by itself on Deno and Bun.
 *
 * @module
 */
import { resolve } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { RUNTIME } from "../helpers/runtime.ts";

/** For what a test has left to end by itself. */
const GRACE_MS = 60_000;

for (const file of process.argv.slice(2)) {
  try {
    await import(pathToFileURL(resolve(file)).href);
  } catch (error) {
    test(`${file} can be loaded`, () => {
      throw error;
    });
  }
}
if (RUNTIME === "node") after(() => void setTimeout(end, GRACE_MS).unref());

function end(): void {
  const left = process.getActiveResourcesInfo().join(", ");
  console.error(`Its tests are over, and this process is kept alive by ${left}`);
  process.emit("beforeExit", 1); // at which the report is written
  setTimeout(() => process.exit(1), 2_000);
}
