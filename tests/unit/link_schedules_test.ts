/** No order of the steps of two threads loses a wake-up, a packet or a block of a link. */
import { test } from "node:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { assertGreater, assertRejects } from "@std/assert";
import { PLANS, resetLink, tinyLink } from "./link_schedules.ts";
import { Lockstep, lockstepMemory } from "./lockstep.ts";
import type { LockstepData } from "./workers/lockstep_worker.ts";

const SCRIPT = new URL("./workers/lockstep_worker.ts", import.meta.url);
const LONG = { timeout: 120_000 };

/** Runs `plan` in every order with up to `switches` interruptions: how many those are. */
async function explore(plan: string, switches: number, slots = 2): Promise<number> {
  const memory = lockstepMemory();
  const ends = tinyLink(slots);
  const worker = new Worker(SCRIPT, { workerData: { memory, ends, plan } satisfies LockstepData });
  try {
    await once(worker, "online");
    const part = PLANS[plan]![0];
    return new Lockstep(memory, 0).explore(
      switches,
      (lockstep) => part(lockstep, ends[0]),
      () => resetLink(ends),
    );
  } finally {
    await worker.terminate();
  }
}

for (
  const [plan, switches, slots = 2] of [
    ["Bell, blocked", 2],
    ["Bell", 3],
    ["Link, blocked", 1],
    ["Link", 1],
    ["Link that answers", 1],
    ["Link that listens", 2],
    ["Link that listens", 1, 4],
    ["Link.close(), blocked", 1],
    ["Link.close()", 2],
    ["Page0", 2],
  ] as const
) {
  const orders = `every order of steps with up to ${switches} interruptions and ${slots} slots`;
  test(`${plan}: nothing is lost in ${orders}`, LONG, async () => {
    assertGreater(await explore(plan, switches, slots), 10);
  });
}

test("Lockstep finds out a bell that says too late that it sleeps", LONG, async () => {
  await assertRejects(() => explore("late", 1), Error, "both sleep: a wake-up was lost");
});
