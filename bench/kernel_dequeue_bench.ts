/**
 * What a wake-up costs on a kernel with the receive ABI: by copy, and by mapping.
 *
 * @module
 */
import type { Mode, Plan } from "../src/cli/perf/plan.ts";
import { runPlan } from "../src/cli/perf/run.ts";
import type { Bench, Round } from "./bench.ts";
import { requireLocalVsock } from "./kernel_here.ts";

const [KIB, MIB] = [1024, 1024 * 1024];
const COLUMNS = [64 * KIB, 512 * KIB] as const;

function plan(mode: Mode, bufferBytes: number, bytes: number): Plan {
  return {
    ...{ mode, bytes, bufferBytes, transport: "vsock", type: "stream", port: 1234 },
    rcvlowatBytes: bufferBytes,
    creditBytes: 4 * MIB,
    txBufferBytes: MIB,
    verify: false,
  };
}

/** Rows 3 and 4 of the kernel's table. */
export const kernelDequeue: Bench = {
  rounds: 3,
  async prove(): Promise<void> {
    requireLocalVsock();
    for (const mode of ["copy", "zerocopy"] as const) {
      await runPlan({ ...plan(mode, 64 * KIB, 16 * MIB), verify: true }, () => {});
    }
  },
  async round(): Promise<Round> {
    const values: Record<string, number> = {};
    for (const size of COLUMNS) {
      for (const mode of ["copy", "zerocopy"] as const) {
        const { ns_per_wakeup } = await runPlan(plan(mode, size, 128 * MIB), () => {});
        values[`${mode}${size}`] = ns_per_wakeup;
      }
    }
    return values;
  },
  rows: COLUMNS.map((size) => ({
    name: `kernel-dequeue-${size / KIB}`,
    what: `AF_VSOCK, D of a copy, ${size / KIB} KiB`,
    ours: `copy${size}`,
    peer: `zerocopy${size}`,
    peerIs: "D of zero-copy",
    unit: "ns",
    target: { atLeast: size === 64 * KIB ? 1 : 2.9 },
    note: "both are ours, by vsockit perf -z n and -z y; needs the laboratory's kernel",
  })),
};
