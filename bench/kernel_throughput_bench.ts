/**
 * What a receiver of AF_VSOCK takes in a second: ours against C's `vsock_perf`, the sender being
 * C's in both cases.
 *
 * @module
 */
import { RUNTIME } from "../tests/helpers/runtime.ts";
import type { Bench, Round } from "./bench.ts";
import { requireLocalVsock } from "./kernel_here.ts";
import { receiveByC, receiveByUs, type Transfer } from "./vsock_perf.ts";

const [KIB, MIB] = [1024, 1024 * 1024];
const COLUMNS = [64 * KIB, 512 * KIB] as const;
const TARGET = { atLeast: RUNTIME === "bun" ? 0.8 : 0.9 };

/** The sender in C keeps its own buffer of 256 KiB, and Linux sends no more ahead than that. */
const MOST_RCVLOWAT = 128 * KIB;

function transfer(bufferBytes: number, bytes: number): Transfer {
  const rcvlowatBytes = Math.min(bufferBytes, MOST_RCVLOWAT);
  return { bytes, bufferBytes, creditBytes: 2 * MIB, rcvlowatBytes };
}

const keys = (size: number): readonly [ours: string, peer: string] => [`ours${size}`, `c${size}`];

/** Our receiver of AF_VSOCK beside C's. */
export const kernelThroughput: Bench = {
  rounds: 3,
  async prove(): Promise<void> {
    requireLocalVsock();
    await receiveByUs(transfer(64 * KIB, MIB)); // counts every byte
  },
  async round(): Promise<Round> {
    const values: Record<string, number> = {};
    for (const size of COLUMNS) {
      const [ours, peer] = keys(size);
      values[ours] = await receiveByUs(transfer(size, 128 * MIB));
      values[peer] = await receiveByC(transfer(size, 128 * MIB));
    }
    return values;
  },
  rows: COLUMNS.map((size) => {
    const [ours, peer] = keys(size);
    return {
      name: `kernel-throughput-${size / KIB}`,
      what: `AF_VSOCK receive, ${size / KIB} KiB`,
      ours,
      peer,
      peerIs: "C vsock_perf",
      unit: "Gbit/s",
      target: TARGET,
      note: "vsock_perf --sender in both; socket buffer 2 MiB, SO_RCVLOWAT at most 128 KiB",
    };
  }),
};
