/**
 * The device beside a guest of its own: what a wake-up costs by copy and by mapping, and what both
 * sides tell each other.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Mode, Plan } from "../src/cli/perf/plan.ts";
import { runRemote } from "../src/cli/perf/remote.ts";
import type { PerfResult } from "../src/cli/perf/result.ts";
import { createVsockDevice, type VsockDevice } from "../src/vhost_user/mod.ts";
import { type Conn, connect, listen } from "../mod.ts";
import { type GuestProcess, startGuest } from "../tests/vm/guest_process.ts";
import type { Bench, Round } from "./bench.ts";
import { DEVICE_PORTS, echoAll, type GuestTask } from "./device_ports.ts";

const [KIB, MIB, GIB] = [1024, 1024 * 1024, 1024 * 1024 * 1024];
const CID = 3;
const [BYTES, SHORT_BYTES] = [256 * MIB, 64 * MIB];
const CONNECTIONS = 256;
const FAIR_MEAN = 2 * MIB;
const LOOK_MS = 100;
const FAIR_MS = 60_000;
const GUEST_SECONDS = 3_000;

/** A device and the guest that has it. */
class Lab implements AsyncDisposable {
  readonly device: VsockDevice;
  readonly #guest: GuestProcess;

  private constructor(device: VsockDevice, guest: GuestProcess) {
    this.device = device;
    this.#guest = guest;
  }

  /** Boots the guest, which serves when this resolves. */
  static async open(eventIdx: boolean): Promise<Lab> {
    const socketPath = join(tmpdir(), `vsockit-bench-${randomUUID()}.sock`);
    const device = createVsockDevice({ socketPath, guestCid: CID, features: { eventIdx } });
    const guest = startGuest({
      vhostUser: socketPath,
      timeoutSeconds: GUEST_SECONDS,
      command: ["deno", "run", "-A", "--no-check", "bench/device_guest.ts"],
    });
    const lab = new Lab(device, guest);
    try {
      await guest.says("serving");
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The guest transmits, the device receives. */
  receive(mode: Mode, bufferBytes: number, more: Partial<Plan> = {}): Promise<PerfResult> {
    const plan: Plan = {
      ...{ mode, bufferBytes, rcvlowatBytes: bufferBytes, bytes: BYTES },
      ...{ transport: "device", type: "stream", port: 1234 },
      ...{ creditBytes: 4 * MIB, txBufferBytes: 16 * MIB, verify: false },
      ...more,
    };
    return runRemote(plan, { machine: String(CID), reverse: false, device: this.device });
  }

  /** Has the guest do something; the caller closes what it answers by. */
  async ask(task: GuestTask): Promise<Conn> {
    const conn = await connect({ cid: CID, port: DEVICE_PORTS.tasks }, { transport: this.device });
    await conn.write(new TextEncoder().encode(JSON.stringify(task)));
    return conn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guest[Symbol.asyncDispose]();
    this.device.close();
  }
}

let lab: Lab | undefined;
let flagsLab: Lab | undefined;

async function close(): Promise<void> {
  for (const open of [lab, flagsLab]) await open?.[Symbol.asyncDispose]();
  lab = flagsLab = undefined;
}

/**
 * Kicks and calls in a MiB received at 64 KiB a wake-up: those of a long run, less a short one's.
 */
async function notifications(on: Lab): Promise<number> {
  const { counters } = on.device.guest;
  const during = async (bytes: number): Promise<number> => {
    const before = counters.kicks + counters.calls;
    await on.receive("zerocopy", 64 * KIB, { bytes });
    return counters.kicks + counters.calls - before;
  };
  const [short, long] = [await during(SHORT_BYTES), await during(BYTES)];
  return (long - short) / ((BYTES - SHORT_BYTES) / MIB);
}

/** Round trips a second, as the guest measures them. */
async function roundTrips(
  { device }: Lab,
  conn: Conn,
): Promise<{ device: number; loopback: number }> {
  using listener = listen({ cid: 2, port: DEVICE_PORTS.echo }, { transport: device });
  const echoing = echoAll(listener);
  const buffer = new Uint8Array(1_024);
  const got = await conn.read(buffer);
  conn.close();
  listener.close();
  await echoing.catch(() => {});
  return JSON.parse(new TextDecoder().decode(buffer.subarray(0, got ?? 0)));
}

/** Bytes of the slowest connection over the mean, which is 2 MiB, of many that stream at once. */
async function fairness(on: Lab): Promise<number> {
  using listener = listen({ cid: 2, port: DEVICE_PORTS.sink }, {
    transport: on.device,
    backlog: CONNECTIONS,
  });
  using asked = await on.ask({ name: "stream", connections: CONNECTIONS });
  const conns: Conn[] = [];
  const received = new Float64Array(CONNECTIONS);
  const reading: Promise<void>[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const conn = await listener.accept();
    conns.push(conn);
    reading.push(count(conn, received, i));
  }
  const total = (values: Float64Array): number => values.reduce((sum, bytes) => sum + bytes, 0);
  const limit = performance.now() + FAIR_MS; // one that gets nothing is what is to be seen
  const late = (): boolean => performance.now() > limit;
  while (received.some((bytes) => bytes === 0) && !late()) await sleep(LOOK_MS);
  const before = received.slice();
  const end = total(before) + CONNECTIONS * FAIR_MEAN;
  while (total(received) < end && !late()) await sleep(LOOK_MS);
  const moved = received.map((bytes, i) => bytes - before[i]!);
  for (const conn of conns) conn.close();
  await Promise.all(reading);
  await asked.read(new Uint8Array(16));
  return Math.min(...moved) / (total(moved) / CONNECTIONS);
}

async function count(conn: Conn, received: Float64Array, index: number): Promise<void> {
  const buffer = new Uint8Array(64 * KIB);
  try {
    for (let got; (got = await conn.read(buffer)) !== null;) received[index]! += got;
  } catch {
    // closed here
  }
}

/** What a device does, with a guest that is emulated: host code runs natively. */
export const device: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    lab = await Lab.open(true);
    for (const mode of ["copy", "zerocopy"] as const) {
      await lab.receive(mode, 64 * KIB, { bytes: 16 * MIB, verify: true });
    }
  },
  async round(): Promise<Round> {
    const open = lab!;
    const copy = await open.receive("copy", 512 * KIB);
    const map = await open.receive("zerocopy", 512 * KIB);
    const map64 = await open.receive("zerocopy", 64 * KIB);
    const copy64 = await open.receive("copy", 64 * KIB);
    const perGiB = ({ rx_cpu_seconds }: PerfResult): number => rx_cpu_seconds * GIB / BYTES * 1_000;
    const [trips, fair] = [
      await roundTrips(open, await open.ask({ name: "round trips" })),
      await fairness(open),
    ];
    return {
      copy512: copy.ns_per_wakeup,
      map512: map.ns_per_wakeup,
      copy64: copy64.ns_per_wakeup,
      map64: map64.ns_per_wakeup,
      copyCpu: perGiB(copy),
      mapCpu: perGiB(map),
      ...{ device: trips.device, loopback: trips.loopback, fair },
    };
  },
  close,
  rows: [
    {
      name: "device-dequeue-512",
      what: "device, D of a copy, 512 KiB",
      ...{ ours: "copy512", peer: "map512", peerIs: "D of zero-copy", unit: "ns" },
      target: { atLeast: 2.9 },
      note: "guest to host, by vsockit perf --device -z n and -z y; the RFC's best is 2.9",
    },
    {
      name: "device-dequeue-64",
      what: "device, D of a copy, 64 KiB",
      ...{ ours: "copy64", peer: "map64", peerIs: "D of zero-copy", unit: "ns" },
    },
    {
      name: "device-growth",
      what: "device, D of zero-copy, 512 KiB",
      ...{ ours: "map512", peer: "map64", peerIs: "D at 64 KiB", unit: "ns" },
      target: { atMost: 2 },
    },
    {
      name: "device-cpu",
      what: "device, CPU of the host per GiB, zero-copy",
      ...{ ours: "mapCpu", peer: "copyCpu", peerIs: "by copy", unit: "ms" },
      target: { atMost: 0.5 },
      note: "user and system time of the receiver's process in its rx loop, 512 KiB wake-ups",
    },
    {
      name: "device-roundtrip",
      what: "64 B round trips, guest and device",
      ...{ ours: "device", peer: "loopback", peerIs: "its own vsock_loopback", unit: "/s" },
      target: { atLeast: 0.3 },
      note: "measured in the guest, whose two threads are emulated by one of the host's",
    },
    {
      name: "device-fairness",
      what: "256 connections at once: the slowest over the mean",
      ...{ ours: "fair", unit: "" },
      target: { atLeast: 0.5 },
    },
  ],
};

/** The same guest with and without `VIRTIO_RING_F_EVENT_IDX`. */
export const deviceNotifications: Bench = {
  rounds: 3,
  async prove(): Promise<void> {
    lab = await Lab.open(true);
    flagsLab = await Lab.open(false);
    for (const open of [lab, flagsLab]) {
      await open.receive("zerocopy", 64 * KIB, { bytes: 16 * MIB, verify: true });
    }
  },
  async round(): Promise<Round> {
    return { index: await notifications(lab!), flags: await notifications(flagsLab!) };
  },
  close,
  rows: [{
    name: "device-notifications",
    what: "device, kicks and calls per MiB, EVENT_IDX",
    ...{ ours: "index", peer: "flags", peerIs: "without EVENT_IDX", unit: "/MiB" },
    target: { atMost: 0.25 },
  }],
};
