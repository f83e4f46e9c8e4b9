/**
 * Imports the test files that it is given, which share what they import: a guest takes longer to
 * load that than to test. A file that cannot be loaded is a test that fails: by themselves Deno and
 * Node say nothing of it once it has tests.
 *
 * @module
 */
import { resolve } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) {
  try {
    await import(pathToFileURL(resolve(file)).href);
  } catch (error) {
    test(`${file} can be loaded`, () => {
      throw error;
    });
  }
}
