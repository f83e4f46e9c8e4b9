/**
 * Whether a dequeue by mapping costs more when it brings more.
 *
 * @module
 */
import type { Plan } from "../src/cli/perf/plan.ts";
import { runPlan } from "../src/cli/perf/run.ts";
import type { Bench, Round } from "./bench.ts";

const [KIB, MIB] = [1024, 1024 * 1024];
/** The same number of either kind, so that compiling weighs the same. */
const WAKEUPS = 16_384;

/** The zero-copy cell of `vsockit perf --sweep` with this buffer. */
function plan(bufferBytes: number, bytes: number): Plan {
  return {
    mode: "zerocopy",
    transport: "loopback",
    type: "stream",
    port: 1234,
    bytes,
    bufferBytes,
    rcvlowatBytes: bufferBytes,
    creditBytes: 4 * MIB,
    txBufferBytes: 16 * MIB,
    verify: false,
  };
}

/** D, in nanoseconds per wake-up. */
async function wakeupNs(bufferBytes: number): Promise<number> {
  const { ns_per_wakeup } = await runPlan(plan(bufferBytes, WAKEUPS * bufferBytes), () => {});
  return ns_per_wakeup;
}

async function prove(): Promise<void> {
  for (const size of [4 * KIB, 512 * KIB]) {
    await runPlan({ ...plan(size, 16 * MIB), verify: true }, () => {});
  }
}

async function round(): Promise<Round> {
  return {
    small: await wakeupNs(4 * KIB),
    large: await wakeupNs(512 * KIB),
  };
}

/** What a wake-up of 512 KiB costs over one of 4 KiB. */
export const dequeue: Bench = {
  rounds: 5,
  prove,
  round,
  rows: [{
    name: "dequeue",
    what: "zero-copy D at 512 KiB",
    ours: "large",
    peer: "small",
    peerIs: "D at 4 KiB",
    unit: "ns",
    target: { atMost: 2 },
    note: "D of vsockit perf -z y: getsockopt, views and madvise, per wake-up; buffer size 4 MiB",
  }],
};
