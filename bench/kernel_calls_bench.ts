/**
 * How many system calls a receiver of AF_VSOCK makes, ours beside C's: what no emulator bends.
 *
 * @module
 */
import type { Bench, Round } from "./bench.ts";
import { requireLocalVsock } from "./kernel_here.ts";
import { countCalls } from "./vsock_perf.ts";

const [KIB, MIB] = [1024, 1024 * 1024];
const MEBIBYTES = 64;
const TRANSFER = {
  bytes: MEBIBYTES * MIB,
  bufferBytes: 128 * KIB,
  creditBytes: 2 * MIB,
  rcvlowatBytes: 128 * KIB,
} as const;

/** The row about calls, where strace(1) is. */
export const kernelCalls: Bench = {
  rounds: 1,
  prove(): Promise<void> {
    requireLocalVsock();
    return Promise.resolve();
  },
  async round(): Promise<Round> {
    return {
      ours: await countCalls("us", TRANSFER, ["recvfrom", "recvmsg", "poll", "ppoll"]) / MEBIBYTES,
      c: await countCalls("c", TRANSFER, ["read", "poll"]) / MEBIBYTES,
    };
  },
  rows: [{
    name: "kernel-calls",
    what: "AF_VSOCK receive, 128 KiB, calls to wait and to take",
    ours: "ours",
    peer: "c",
    peerIs: "C vsock_perf",
    unit: "per MiB",
    target: { atMost: 1.05 },
    note: "counted by strace -c; what the runtime's own threads do beside it is not counted",
  }],
};
