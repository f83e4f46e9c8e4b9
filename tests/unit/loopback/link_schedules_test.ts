/** No order of the steps of two threads loses a wake-up, a packet or a block of a link. */
import { test } from "node:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { assertGreater, assertRejects } from "@std/assert";
import { partOf, resetLink, tinyLink } from "./link_schedules.ts";
import { Lockstep, lockstepMemory } from "./lockstep.ts";
import type { LockstepData } from "./lockstep_worker.ts";

const SCRIPT = new URL("./lockstep_worker.ts", import.meta.url);
const LONG = { timeout: 120_000 };

/**
 * Runs `plan` in every order with up to `switches` interruptions: how many those are. With
 * `everyDeath` side 1 dies in each of them, at every so many of its steps.
 */
async function explore(
  plan: string,
  switches: number,
  slots = 2,
  everyDeath = 0,
): Promise<number> {
  const memory = lockstepMemory();
  const ends = tinyLink(slots);
  const worker = new Worker(SCRIPT, { workerData: { memory, ends, plan } satisfies LockstepData });
  try {
    await once(worker, "online");
    const part = partOf(plan, 0, ends);
    return new Lockstep(memory, 0).explore(switches, part, () => resetLink(ends), everyDeath);
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

for (
  const [plan, switches, everyDeath] of [
    ["Link, blocked", 0, 1],
    ["Link, blocked", 1, 13],
    ["Link that is sent to, blocked", 0, 1],
    ["Link that is sent to, blocked", 1, 13],
    ["Link", 1, 1],
    ["Link that is sent to", 1, 1],
    ["Link that listens", 1, 1],
    ["Link.close(), blocked", 1, 1],
    ["Link.close()", 1, 1],
    ["Page0", 1, 1],
    ["Page0, at its receiver", 1, 1],
  ] as const
) {
  const which = everyDeath === 1 ? "any step" : `each ${everyDeath}th step`;
  const orders = `every order of steps with up to ${switches} interruptions`;
  test(`${plan}: ends where its other dies at ${which}, in ${orders}`, LONG, async () => {
    assertGreater(await explore(plan, switches, 2, everyDeath), 10);
  });
}

test("Lockstep finds out a bell that says too late that it sleeps", LONG, async () => {
  await assertRejects(() => explore("late", 1), Error, "both sleep: a wake-up was lost");
});
