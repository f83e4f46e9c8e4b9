/**
 * Imports the test files that it is given. Deno and Node load all that a test file imports anew for
 * each, which takes longer than their tests where a guest does it. A file that cannot be loaded is
 * a test that fails: by themselves both say nothing of it once others have tests.
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
