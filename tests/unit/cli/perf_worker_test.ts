/** The script that `vsockit perf` starts its Workers from. */
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { parseOptions } from "../../../src/cli/perf/options.ts";
import { runPlan } from "../../../src/cli/perf/run.ts";
import { requireWorker, WORKER_URL } from "../../../src/cli/perf/worker_url.ts";

test("requireWorker() says how a bundle gets the script that it lacks", () => {
  const lacking = (): void => requireWorker(new URL("./nowhere/worker.js", import.meta.url));
  assertThrows(
    lacking,
    Error,
    "Cannot start the Worker of perf: must be a file beside the program",
  );
  assertThrows(
    lacking,
    Error,
    "unit/cli/nowhere/worker.js: bun build --entry-naming '[name].[ext]'",
  );
});

test("requireWorker() takes the script of the package, and what is no file", () => {
  requireWorker(WORKER_URL);
  requireWorker(new URL('data:text/javascript,import "https://example.org/worker.ts";'));
});

test("runPlan() leaves no Worker behind where the other one cannot start", {
  timeout: 60_000,
}, async () => {
  const threads = process.getBuiltinModule("node:worker_threads") as { Worker: unknown };
  const { Worker } = threads;
  const ended: Promise<void>[] = [];
  threads.Worker = class extends (Worker as typeof import("node:worker_threads").Worker) {
    constructor(...args: ConstructorParameters<typeof import("node:worker_threads").Worker>) {
      if (ended.length > 0) throw Object.assign(new Error("none"), { code: "EAGAIN" });
      super(...args);
      ended.push(new Promise((resolve) => this.once("exit", () => resolve())));
    }
  };
  try {
    const { plan } = parseOptions(["--transport", "loopback", "-m", "1"]);
    await assertRejects(() => runPlan(plan, () => {}), Error, "raise ulimit -u");
  } finally {
    threads.Worker = Worker;
  }
  await Promise.all(ended);
  assertEquals(ended.length, 1);
});
