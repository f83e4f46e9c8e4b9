/**
 * What a receiver of TCP takes in a second, and what it costs: ours against C, and against what the
 * runtime has itself. The sender is C's, and the same in all.
 *
 * @module
 */
import type { Bench, Round } from "./bench.ts";
import { runtimeWays } from "./tcp_peers.ts";
import {
  runTcpFlow,
  type TcpFlow,
  type TcpMeasured,
  type TcpReceiverName,
} from "./tcp_reference.ts";

const [KIB, MIB] = [1024, 1024 * 1024];
const LARGE = 512 * KIB;
/** What is compared is measured one after the other: a machine is busy for a while at a time. */
const BOTH = ["ours", "c"] as const;
const COLUMNS = [64 * KIB, LARGE] as const;
const FLOW = { bytes: 2048 * MIB, warmupBytes: 512 * MIB } as const;
/** By 512 KiB it takes this much until a runtime has compiled what a wake-up runs. */
const LONG = { bytes: 6144 * MIB, warmupBytes: 2048 * MIB } as const;

function mapped(by: TcpReceiverName): TcpFlow {
  return { ...LONG, by, way: "map", chunkBytes: LARGE, zeroCopy: true };
}

function copied(by: "c" | "ours", way: string, chunkBytes: number): TcpFlow {
  return { ...FLOW, by, way, chunkBytes, zeroCopy: false };
}

function speedOf({ measured, seconds }: TcpMeasured): number {
  return measured / seconds / 1e9;
}

/**
 * Of both ends, in microseconds for each MiB: over loopback, who acknowledges does a part of what
 * the sender has to do, the more the slower it is.
 */
function costOf({ measured, cpu, bytes, senderCpu }: TcpMeasured): number {
  return (cpu / measured + senderCpu / bytes) * 1e6 * MIB;
}

function mapValues(by: TcpReceiverName, map: TcpMeasured): Round {
  return {
    [`map-${by}`]: speedOf(map),
    [`map-cpu-${by}`]: costOf(map),
    [`map-own-${by}`]: map.cpu * 1e6 / (map.measured / MIB),
    [`share-${by}`]: map.mapped / map.measured * 100,
  };
}

async function round(): Promise<Round> {
  const values: Record<string, number> = {};
  for (const by of BOTH) Object.assign(values, mapValues(by, await runTcpFlow(mapped(by))));
  for (const size of COLUMNS) {
    for (const by of BOTH) {
      const copy = await runTcpFlow(copied(by, "copy", size));
      values[`copy${size}-${by}`] = speedOf(copy);
      values[`copy${size}-cpu-${by}`] = costOf(copy);
    }
  }
  for (const size of COLUMNS) {
    for (const way of ["read", ...runtimeWays()]) {
      values[`${way}${size}`] = speedOf(await runTcpFlow(copied("ours", way, size)));
    }
  }
  return values;
}

async function prove(): Promise<void> {
  const small = { bytes: 16 * MIB, warmupBytes: MIB };
  for (const by of BOTH) await runTcpFlow({ ...mapped(by), ...small });
}

const C = "C, TCP_ZEROCOPY_RECEIVE";
const KERNEL = "tcp_mmap of Linux 6.12";
const note = "MSG_ZEROCOPY sender in C, TCP_MAXSEG 4108, SO_RCVLOWAT as the buffer";
const plain = "send(2) of 512 KiB in C, SO_RCVLOWAT as the buffer";

/** `deno task bench:tcp`. */
export const tcpReceive: Bench = {
  rounds: 5,
  prove,
  round,
  rows: [
    {
      name: "tcp-map",
      what: "TCP, 512 KiB, mapped",
      ours: "map-ours",
      peer: "map-c",
      peerIs: C,
      unit: "GB/s",
      target: { atLeast: 0.97 },
      note,
    },
    {
      name: "tcp-map-cpu",
      what: "the same, processor time of both ends",
      ours: "map-cpu-ours",
      peer: "map-cpu-c",
      peerIs: C,
      unit: "us/MiB",
    },
    {
      name: "tcp-map-own",
      what: "the same, of the receiver alone",
      ours: "map-own-ours",
      peer: "map-own-c",
      peerIs: C,
      unit: "us/MiB",
      target: { atMost: 1.1 },
    },
    {
      name: "tcp-map-share",
      what: "the same, bytes that were mapped",
      ours: "share-ours",
      unit: "%",
      target: { atLeast: 99 },
    },
    ...COLUMNS.flatMap((size) => [
      {
        name: `tcp-copy-${size / KIB}`,
        what: `TCP, ${size / KIB} KiB, copied`,
        ours: `copy${size}-ours`,
        peer: `copy${size}-c`,
        peerIs: "C, read(2)",
        unit: "GB/s",
        target: { atLeast: 0.95 },
        note: plain,
      },
      {
        name: `tcp-copy-cpu-${size / KIB}`,
        what: "the same, processor time of both ends",
        ours: `copy${size}-cpu-ours`,
        peer: `copy${size}-cpu-c`,
        peerIs: "C, read(2)",
        unit: "us/MiB",
      },
      ...runtimeWays().map((way) => ({
        name: `tcp-read-${size / KIB}-${way}`,
        what: `TCP, ${size / KIB} KiB, await read()`,
        ours: `read${size}`,
        peer: `${way}${size}`,
        peerIs: way,
        unit: "GB/s",
        target: { atLeast: 1.2 },
        note: "the sender as above; ours with SO_RCVLOWAT, which the peers have no way to set",
      })),
    ]),
  ],
};

/** The same beside the kernel's own program; needs Debian's archive, or a cache that has it. */
export const tcpMmapReceive: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    await runTcpFlow({ ...mapped("tcp_mmap"), bytes: 16 * MIB });
  },
  async round(): Promise<Round> {
    const ours = mapValues("ours", await runTcpFlow(mapped("ours")));
    return { ...ours, ...mapValues("tcp_mmap", await runTcpFlow(mapped("tcp_mmap"))) };
  },
  rows: [
    {
      name: "tcp-mmap",
      what: "TCP, 512 KiB, mapped",
      ours: "map-ours",
      peer: "map-tcp_mmap",
      peerIs: KERNEL,
      unit: "GB/s",
      target: { atLeast: 0.97 },
      note: "the same sender; ours after a warm-up, the peer's from its first byte on",
    },
    {
      name: "tcp-mmap-own",
      what: "the same, processor time of the receiver",
      ours: "map-own-ours",
      peer: "map-own-tcp_mmap",
      peerIs: KERNEL,
      unit: "us/MiB",
      target: { atMost: 1.1 },
    },
  ],
};
