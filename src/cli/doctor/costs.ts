/**
 * What receiving costs on this machine, by copy and by mapping: what `"auto"` goes by.
 *
 * @module
 */
import { FfiUnavailableError } from "../../../ffi/backend.ts";
import { SysError } from "../../../ffi/errno.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { connect } from "../../connect.ts";
import { VsockError } from "../../error.ts";
import { listen } from "../../listen.ts";
import { createLoopback } from "../../loopback/mod.ts";
import { openTcp } from "../../kernel/elsewhere.ts";
import { type ReceiveCost, receiveCosts } from "../../receive/costs.ts";
import type { Receiver } from "../../receive/receiver.ts";
import { LOCAL_HOST, PAGE_SEGMENT } from "../perf/tcp.ts";
import { formatSize } from "../args/values.ts";
import { formatColumns } from "../output/table.ts";

const KIB = 1024;
/** The buffers of the RFC's table. */
const SIZES: readonly number[] = [4, 16, 64, 128, 256, 512].map((kib) => kib * KIB);
const LARGEST = Math.max(...SIZES);
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

/** A connection of this process to itself, and what its sender sends. */
interface Pair extends Disposable {
  readonly receiving: Conn<Address>;
  readonly sending: Conn<Address>;
  /** {@linkcode LARGEST} bytes. */
  readonly data: Uint8Array;
  /** Whether the sender lends its pages, without which TCP has nothing to map. */
  readonly lends: boolean;
}

const CARRIERS: Readonly<Record<string, () => Promise<Pair | undefined>>> = {
  async loopback(): Promise<Pair> {
    const options = { zeroCopyReceive: true, bufferSize: 2 * LARGEST };
    const all = { transport: createLoopback(), options };
    using listener = listen({ cid: 1, port: 1024 }, all);
    const receiving = await connect({ cid: 1, port: 1024 }, all);
    const sending = await listener.accept();
    return pair(receiving, sending, new Uint8Array(LARGEST), false);
  },
  async tcp(): Promise<Pair | undefined> {
    if (!openTcp(LOCAL_HOST).capabilities.mapRx) return undefined;
    const options = { maxSegment: PAGE_SEGMENT };
    using listener = listen({ hostname: LOCAL_HOST, port: 0 }, { options });
    const receiving = await connect(listener.addr, { options, ...WAIT });
    const sending = await listener.accept(WAIT);
    const region = new MappedRegion(LARGEST);
    return pair(receiving, sending, region.lend(0, LARGEST), true);
  },
};

function pair<A extends Address>(
  receiving: Conn<A>,
  sending: Conn<A>,
  data: Uint8Array,
  lends: boolean,
): Pair {
  return {
    receiving: receiving as unknown as Conn<Address>,
    sending: sending as unknown as Conn<Address>,
    data,
    lends,
    [Symbol.dispose](): void {
      receiving.close();
      sending.close();
    },
  };
}

/**
 * Receives over each carrier that maps here until receivers know what both ways cost. It takes
 * about a second; nothing is sent over AF_VSOCK.
 *
 * @returns The costs by carrier; it has none where FFI or TCP is not to be had.
 */
export async function measureCosts(): Promise<Record<string, CarrierCosts>> {
  const found: Record<string, CarrierCosts> = {};
  for (const [carrier, open] of Object.entries(CARRIERS)) {
    try {
      using ends = await open();
      if (ends === undefined) continue;
      await measureAll(carrier, ends);
      found[carrier] = costsFrom(
        receiveCosts().filter((cost) => cost.carrier === carrier && SIZES.includes(cost.bytes)),
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

async function measureAll(carrier: string, ends: Pair): Promise<void> {
  const known = (bytes: number): boolean =>
    receiveCosts().some((cost) =>
      cost.carrier === carrier && cost.bytes === bytes &&
      cost.copyNsPerKib !== undefined && cost.mapNsPerKib !== undefined
    );
  using receiver = ends.receiving.receiver({ bufferBytes: LARGEST });
  for (let count = 0; count < WARM_UP.wakeUps; count++) {
    await wakeUp(ends, receiver, WARM_UP.bytes);
  }
  for (const size of SIZES) {
    ends.receiving.options.rcvlowat = size;
    for (let count = 0; count < MOST && !known(size); count += SLICE) {
      for (let each = 0; each < SLICE; each++) await wakeUp(ends, receiver, size);
    }
  }
}

async function wakeUp(
  { sending, data, lends }: Pair,
  receiver: Receiver,
  size: number,
): Promise<void> {
  const sent = sending.write(data.subarray(0, size), { zeroCopy: lends });
  for (let left = size; left > 0;) {
    using batch = await receiver.receive(WAIT);
    if (batch === null) throw new VsockError("recv", "ECONNRESET");
    for (const packet of batch) packet.data;
    left -= batch.byteLength;
  }
  await sent;
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
