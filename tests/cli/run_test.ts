import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { parseOptions } from "../../src/cli/perf/options.ts";
import { runPlan } from "../../src/cli/perf/run.ts";
import "../helpers/brief_warm_ups.ts";

test(
  "runPlan() fails where one end fails, and the other one ends",
  { timeout: 300_000 },
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

test(
  "runPlan() fails where nothing moves any more, and ends both",
  { timeout: 300_000 },
  async () => {
    // Messages of 1 KiB within 64 KiB of credit never make the 1 MiB that the receiver waits for.
    const { plan } = parseOptions(["-m", "1", "-b", "1K", "--seqpacket", "-v", "64K", "-r", "1"]);
    const modes = ["copy", "zerocopy", "user-poll", "auto"] as const;
    await Promise.all(modes.map(async (mode) => {
      const stuck = { ...plan, mode, rcvlowatBytes: 1_048_576 };
      const running = runPlan(stuck, () => {}, 1_000);
      await assertRejects(() => running, Error, "Nothing moved for 1 s");
    }));
  },
);

test("runPlan() fails where a socket refuses an option", { timeout: 300_000 }, async () => {
  const { plan } = parseOptions(["-m", "1", "-v", "256K"]);
  const refused = { ...plan, rcvlowatBytes: 262_145 };
  await assertRejects(
    () => runPlan(refused, () => {}, 50_000), // Workers take their time on a busy machine
    Error,
    "receiver: Cannot setsockopt: EINVAL",
  );
});

test("runPlan() tells how far it is", { timeout: 300_000 }, async () => {
  const seen: number[] = [];
  const { plan } = parseOptions(["-m", "512", "-b", "4K", "--verify"]);
  await runPlan(plan, (done) => void seen.push(done));
  assertEquals(seen.some((done) => done > 0), true);
  assertEquals(seen.every((done, index) => done >= (seen[index - 1] ?? 0) && done <= 1), true);
});
