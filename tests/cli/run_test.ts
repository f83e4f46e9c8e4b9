import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { parseOptions } from "../../src/cli/perf/options.ts";
import { runPlan } from "../../src/cli/perf/run.ts";

test(
  "runPlan() fails where one end fails, and the other one ends",
  { timeout: 60_000 },
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "vsockit-"));
    try {
      const file = join(directory, "short");
      writeFileSync(file, new Uint8Array(70_000));
      const plan = { ...parseOptions(["--file", file]).plan, bytes: 80_000 };
      await assertRejects(() => runPlan(plan, () => {}), Error, "it ended 10000 bytes early");
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);

test("runPlan() fails where a socket refuses its options", { timeout: 60_000 }, async () => {
  const plan = { ...parseOptions(["-m", "1"]).plan, port: 2 ** 32 };
  await assertRejects(() => runPlan(plan, () => {}), Error);
});

test("runPlan() tells how far it is", { timeout: 60_000 }, async () => {
  const seen: number[] = [];
  const { plan } = parseOptions(["-m", "64", "-b", "4K", "--verify"]);
  await runPlan(plan, (done) => void seen.push(done));
  assertEquals(seen.every((done, index) => done >= (seen[index - 1] ?? 0) && done <= 1), true);
});
