/**
 * What a wake-up costs on a kernel with the receive ABI: by copy, and by mapping, here and in C.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import type { Mode, Plan } from "../src/cli/perf/plan.ts";
import { runPlan } from "../src/cli/perf/run.ts";
import type { Bench, Round, RowSpec } from "./bench.ts";
import { cProgram } from "./c_program.ts";
import { requireLocalVsock } from "./kernel_here.ts";

const [KIB, MIB] = [1024, 1024 * 1024];
const COLUMNS = [64 * KIB, 512 * KIB] as const;
const MODES = { copy: "copy", map: "zerocopy" } as const satisfies Record<string, Mode>;
const BYTES = 128 * MIB;

function plan(mode: Mode, bufferBytes: number, bytes: number): Plan {
  return {
    ...{ mode, bytes, bufferBytes, transport: "vsock", type: "stream", port: 1234 },
    rcvlowatBytes: bufferBytes,
    creditBytes: 4 * MIB,
    txBufferBytes: MIB,
    verify: false,
  };
}

/** D of C, in nanoseconds. */
function measureC(way: string, bufferBytes: number): number {
  const args = [way, String(bufferBytes), String(BYTES)];
  return Number(execFileSync(cProgram("vsock_rx"), args, { encoding: "utf8" }));
}

function rowsOf(size: number): RowSpec[] {
  const [kib, unit] = [size / KIB, "ns"];
  return [{
    name: `kernel-dequeue-${kib}`,
    what: `AF_VSOCK, D of a copy, ${kib} KiB`,
    ours: `copy${size}`,
    peer: `map${size}`,
    peerIs: "D of zero-copy",
    unit,
    target: { atLeast: size === 64 * KIB ? 1 : 2.9 },
    note: "both are ours, by vsockit perf -z n and -z y; needs the laboratory's kernel",
  }, {
    name: `kernel-dequeue-c-${kib}`,
    what: `AF_VSOCK, C's D of a copy, ${kib} KiB`,
    ours: `cCopy${size}`,
    peer: `cMap${size}`,
    peerIs: "C's D of zero-copy",
    unit,
    note: "what the emulator makes of the same calls in C: bench/c/vsock_rx.c",
  }, {
    name: `kernel-dequeue-beside-c-${kib}`,
    what: `AF_VSOCK, D of zero-copy, ${kib} KiB`,
    ours: `map${size}`,
    peer: `cMap${size}`,
    peerIs: "C's",
    unit,
    note: "ours has the views in it, which C need not make",
  }];
}

/** What copying costs over mapping, here and in C; and what mapping costs here over C. */
export const kernelDequeue: Bench = {
  rounds: 3,
  async prove(): Promise<void> {
    requireLocalVsock();
    for (const mode of Object.values(MODES)) {
      await runPlan({ ...plan(mode, 64 * KIB, 16 * MIB), verify: true }, () => {});
    }
  },
  async round(): Promise<Round> {
    const values: Record<string, number> = {};
    for (const size of COLUMNS) {
      for (const [way, mode] of Object.entries(MODES)) {
        const { ns_per_wakeup } = await runPlan(plan(mode, size, BYTES), () => {});
        values[`${way}${size}`] = ns_per_wakeup;
        values[way === "copy" ? `cCopy${size}` : `cMap${size}`] = measureC(way, size);
      }
    }
    return values;
  },
  rows: COLUMNS.flatMap(rowsOf),
};
