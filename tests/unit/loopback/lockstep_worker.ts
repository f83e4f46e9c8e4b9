/**
 * The second thread of what is explored in lockstep.
 *
 * @module
 */
import { workerData } from "node:worker_threads";
import { type Ends, partOf } from "./link_schedules.ts";
import { Lockstep, type LockstepMemory } from "./lockstep.ts";

/** What a test starts this script with. */
export interface LockstepData {
  readonly memory: LockstepMemory;
  readonly ends: Ends;
  readonly plan: string;
}

const { memory, ends, plan } = workerData as LockstepData;
new Lockstep(memory, 1).follow(partOf(plan, 1, ends));
