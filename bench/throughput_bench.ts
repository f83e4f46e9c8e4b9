/**
 * 64 KiB writes from one Worker to another: the loopback's receive modes against AF_UNIX.
 *
 * @module
 */
import type { Bench, Round } from "./bench.ts";
import { type Flow, runFlow, type Way } from "./flow.ts";

const MIB = 1024 * 1024;
const CREDIT_MIB = 6;
const WAYS: readonly Way[] = ["unix", "copy", "zerocopy", "unix-onread"];
const TOUCHED_WAYS: readonly Way[] = ["unix", "copy", "zerocopy"];
const FLOW: Pick<Flow, "chunkBytes" | "creditBytes"> = {
  chunkBytes: 64 * 1024,
  creditBytes: CREDIT_MIB * MIB,
};
/**
 * Workers are new in every flow, and for the first second threads that compile want the two
 * processors too: this is what each way carries in that time, and as long again.
 */
const LENGTHS: Readonly<Record<"unix" | "loopback", Pick<Flow, "bytes" | "warmupBytes">>> = {
  unix: { bytes: 7 * 1024 * MIB, warmupBytes: 4 * 1024 * MIB },
  loopback: { bytes: 32 * 1024 * MIB, warmupBytes: 16 * 1024 * MIB },
};

async function speed(way: Way, touch: boolean): Promise<number> {
  const lengths = way.startsWith("unix") ? LENGTHS.unix : LENGTHS.loopback;
  return (await runFlow({ ...FLOW, ...lengths, way, touch, hash: false })).bytesPerSecond / 1e9;
}

/** Values are in GB/s, by way; with `+touch` where the receiver reads what it gets. */
async function round(): Promise<Round> {
  const values: Record<string, number> = {};
  for (const way of WAYS) values[way] = await speed(way, false);
  for (const way of TOUCHED_WAYS) values[`${way}+touch`] = await speed(way, true);
  return values;
}

async function prove(): Promise<void> {
  for (const way of WAYS) {
    await runFlow({ ...FLOW, way, bytes: 16 * MIB, warmupBytes: 0, touch: false, hash: true });
  }
}

const [unit, peerIs, credit] = ["GB/s", "AF_UNIX, node:net", `buffer size ${CREDIT_MIB} MiB`];
const touched = {
  note: "both receivers read a byte of every 64: of every cache line",
  unit,
  peerIs,
};

/** The loopback beside AF_UNIX, and how that looks where somebody reads the data. */
export const throughput: Bench = {
  rounds: 5,
  prove,
  round,
  rows: [{
    name: "copy",
    what: "Workers, 64 KiB, copy",
    ours: "copy",
    peer: "unix",
    target: { atLeast: 4 },
    note: `${credit}; recv into one 64 KiB buffer, data events there; the bytes are not looked at`,
    peerIs,
    unit,
  }, {
    name: "zerocopy",
    what: "Workers, 64 KiB, zero-copy",
    ours: "zerocopy",
    peer: "unix",
    target: { atLeast: 6 },
    note: `${credit}; packets are mapped, viewed and released; the bytes are not looked at`,
    peerIs,
    unit,
  }, {
    name: "copy-onread",
    what: "the same, copy, faster peer",
    ours: "copy",
    peer: "unix-onread",
    peerIs: "AF_UNIX, node:net onread",
    note: "the peer reads into one buffer too, by the onread option of net.connect()",
    unit,
  }, {
    name: "copy-touched",
    what: "the same, copy, data read",
    ours: "copy+touch",
    peer: "unix+touch",
    ...touched,
  }, {
    name: "zerocopy-touched",
    what: "the same, zero-copy, data read",
    ours: "zerocopy+touch",
    peer: "unix+touch",
    ...touched,
  }],
};
