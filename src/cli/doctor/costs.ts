/**
 * What receiving costs on this machine, by copy and by mapping: what `"auto"` goes by.
 *
 * @module
 */
import { FfiUnavailableError } from "../../../ffi/backend.ts";
import { SysError } from "../../../ffi/errno.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import type { Address } from "../../address.ts";
import { connect, type ConnectOptions } from "../../connect.ts";
import { VsockError } from "../../error.ts";
import { listen, type ListenOptions } from "../../listen.ts";
import { createLoopback } from "../../loopback/mod.ts";
import { openTcp } from "../../kernel/tcp_unix.ts";
import { type ReceiveCost, receiveCosts } from "../../receive/costs.ts";
import type { Receiver } from "../../receive/receiver.ts";
import { COLUMNS } from "../perf/sweep.ts";
import { LOCAL_HOST, PAGE_SEGMENT } from "../perf/tcp.ts";
import { formatSize } from "../args/values.ts";
import { formatColumns } from "../output/table.ts";

const KIB = 1024;
const LARGEST = Math.max(...COLUMNS);
/** Wake-ups of another size before the first that counts: the runtime has compiled all by then. */
const WARM_UP = { bytes: 8 * KIB, wakeUps: 4_000 } as const;
/** Wake-ups between two looks at what has been found out, and after which that will do. */
const [SLICE, MOST] = [32, 1_000];
/** What takes longer is broken. */
const WAIT = { timeoutMs: 5_000 };

/** What one size of wake-ups costs. */
export interface SizeCost {
  /** How much a wake-up brings. */
  readonly bytes: number;
  /** Nanoseconds of a wake-up by copy: dequeue, views and release. */
  readonly copy_ns: number;
  /** The same by mapping. */
  readonly map_ns: number;
}

/** What one carrier costs. */
export interface CarrierCosts {
  /** From how many bytes a wake-up on mapping is cheaper; `null` where it never is. */
  readonly map_from: number | null;
  /** The smallest first. */
  readonly sizes: readonly SizeCost[];
}

/** How a connection of this process to itself is made, and what its sender sends. */
interface Carrier {
  readonly address: string;
  readonly options: ConnectOptions<Address> & ListenOptions<Address>;
  /** {@linkcode LARGEST} bytes. */
  readonly data: Uint8Array;
  /** Whether the sender lends its pages, without which TCP has nothing to map. */
  readonly lends: boolean;
}

const CARRIERS: Readonly<Record<string, () => Carrier | undefined>> = {
  loopback: () => ({
    address: "vsock:1:1024",
    options: {
      transport: createLoopback(),
      options: { zeroCopyReceive: true, bufferSize: 2 * LARGEST },
    },
    data: new Uint8Array(LARGEST),
    lends: false,
  }),
  tcp(): Carrier | undefined {
    if (!openTcp(LOCAL_HOST).capabilities.mapRx) return undefined;
    return {
      address: `tcp:${LOCAL_HOST}:0`,
      options: { options: { maxSegment: PAGE_SEGMENT } },
      data: new MappedRegion(LARGEST).lend(0, LARGEST),
      lends: true,
    };
  },
};

/**
 * Receives over each carrier that maps here until receivers know what both ways cost. It takes
 * about a second; nothing is sent over AF_VSOCK.
 *
 * @returns The costs by carrier; it has none where FFI or TCP is not to be had.
 */
export async function measureCosts(): Promise<Record<string, CarrierCosts>> {
  const found: Record<string, CarrierCosts> = {};
  for (const [carrier, prepare] of Object.entries(CARRIERS)) {
    try {
      const prepared = prepare();
      if (prepared === undefined) continue;
      await measureAll(carrier, prepared);
      found[carrier] = costsFrom(
        receiveCosts().filter((cost) => cost.carrier === carrier && COLUMNS.includes(cost.bytes)),
      );
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return found;
}

/** What findings tell of, better. */
function isMissing(error: unknown): boolean {
  return error instanceof FfiUnavailableError || error instanceof SysError ||
    error instanceof VsockError;
}

async function measureAll(
  carrier: string,
  { address, options, data, lends }: Carrier,
): Promise<void> {
  using listener = listen(address, options);
  using receiving = await connect(listener.addr, { ...options, ...WAIT });
  using sending = await listener.accept(WAIT);
  using receiver = receiving.receiver({ bufferBytes: LARGEST });
  const wakeUp = async (size: number): Promise<void> => {
    const sent = sending.write(data.subarray(0, size), { zeroCopy: lends });
    await takeAll(receiver, size);
    await sent;
  };
  const known = (bytes: number): boolean =>
    receiveCosts().some((cost) =>
      cost.carrier === carrier && cost.bytes === bytes &&
      cost.copyNsPerKib !== undefined && cost.mapNsPerKib !== undefined
    );
  for (let count = 0; count < WARM_UP.wakeUps; count++) {
    await wakeUp(WARM_UP.bytes);
  }
  for (const size of COLUMNS) {
    receiving.options.rcvlowat = size;
    for (let count = 0; count < MOST && !known(size); count += SLICE) {
      for (let each = 0; each < SLICE; each++) await wakeUp(size);
    }
  }
}

async function takeAll(receiver: Receiver, size: number): Promise<void> {
  for (let left = size; left > 0;) {
    using batch = await receiver.receive(WAIT);
    if (batch === null) throw new VsockError("recv", "ECONNRESET");
    for (const packet of batch) packet.data;
    left -= batch.byteLength;
  }
}

/** Of one carrier. */
export function costsFrom(costs: readonly ReceiveCost[]): CarrierCosts {
  const sizes: SizeCost[] = [];
  for (const { bytes, copyNsPerKib, mapNsPerKib } of costs) {
    if (copyNsPerKib === undefined || mapNsPerKib === undefined) continue;
    const [copy_ns, map_ns] = [copyNsPerKib, mapNsPerKib].map((ns) => Math.round(ns * bytes / KIB));
    sizes.push({ bytes, copy_ns: copy_ns!, map_ns: map_ns! });
  }
  const last = sizes.findLastIndex(({ copy_ns, map_ns }) => map_ns >= copy_ns);
  return { map_from: sizes[last + 1]?.bytes ?? null, sizes };
}

/** A table of what `measureCosts()` has found; nothing where it has found nothing. */
export function formatCosts(found: Readonly<Record<string, CarrierCosts>>): string {
  const carriers = Object.entries(found);
  if (carriers.length === 0) return "";
  const rows = carriers.flatMap(([carrier, { sizes, map_from }]) => [
    [carrier, ...sizes.map(({ bytes }) => formatSize(bytes))],
    ["  copy", ...sizes.map(({ copy_ns }) => String(copy_ns))],
    ["  map", ...sizes.map(({ map_ns }) => String(map_ns)), verdict(map_from)],
  ]);
  return `\nnanoseconds to receive as much at once, both ends in this process\n${
    formatColumns(rows)
  }`;
}

function verdict(from: number | null): string {
  return from === null ? "never cheaper" : `cheaper from ${formatSize(from)} on`;
}
