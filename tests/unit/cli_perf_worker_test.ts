/** The script that `vsockit perf` starts its Workers from. */
import { test } from "node:test";
import { assertThrows } from "@std/assert";
import { requireWorker, WORKER_URL } from "../../src/cli/perf/worker_url.ts";

test("requireWorker() says how a bundle gets the script that it lacks", () => {
  const lacking = (): void => requireWorker(new URL("./nowhere/worker.js", import.meta.url));
  assertThrows(
    lacking,
    Error,
    "Cannot start the Worker of perf: must be a file beside the program",
  );
  assertThrows(lacking, Error, "unit/nowhere/worker.js: bun build --entry-naming '[name].[ext]'");
});

test("requireWorker() takes the script of the package, and what is no file", () => {
  requireWorker(WORKER_URL);
  requireWorker(new URL('data:text/javascript,import "https://example.org/worker.ts";'));
});
