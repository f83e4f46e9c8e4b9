/**
 * What a wake-up costs a receiver that chooses by itself, beside the two ways that it chooses from.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { IPPROTO_TCP } from "../ffi/abi/in.ts";
import { POLLIN } from "../ffi/abi/poll.ts";
import { TCP_QUICKACK } from "../ffi/abi/tcp.ts";
import { MappedRegion } from "../ffi/mod.ts";
import {
  type Conn,
  connect,
  listen,
  openVsock,
  type Receiver,
  type TcpAddress,
  type Transport,
  VMADDR_PORT_ANY,
  type VsockAddress,
} from "../mod.ts";
import { PAGE_SEGMENT } from "../src/cli/perf/tcp.ts";
import { createLoopback } from "../src/loopback/mod.ts";
import { type Bench, median, type Round } from "./bench.ts";
import { requireLocalVsock } from "./kernel_here.ts";

const KIB = 1024;
const COLUMNS = [4, 16, 64, 128, 256, 512] as const;
const MODES = ["copy", "map", "auto"] as const;
/** Each mode in turn takes so many wake-ups. */
const SLICE = 32;
const CREDIT = 1024 * KIB;
const ON = new Uint8Array(Int32Array.of(1).buffer);

type AnyConn = Conn<VsockAddress> | Conn<TcpAddress>;
/** The receiver's end, and the sender's. */
type Pair = readonly [AnyConn, AnyConn];

/** A pair whose receiver takes what a sender in the same thread sends. */
class Flow implements Disposable {
  readonly #near: AnyConn;
  readonly #far: AnyConn;
  readonly #receiver: Receiver;
  /** Whole pages, so that TCP can lend them. */
  readonly #region: MappedRegion;
  readonly #data: Uint8Array;
  readonly #lends: boolean;

  constructor([near, far]: Pair, mode: "copy" | "map" | "auto", size: number) {
    this.#near = near;
    this.#far = far;
    this.#receiver = near.receiver({ mode, bufferBytes: size });
    this.#lends = near.remoteAddr.transport === "tcp";
    this.#region = new MappedRegion(size);
    this.#data = this.#region.lend(0, size);
    for (let index = 0; index < size; index++) this.#data[index] = index * 7 + (index >> 8);
  }

  /** One wake-up: nanoseconds of dequeuing, lending and giving back; `look` gets the bytes. */
  async wakeUp(look?: (data: Uint8Array) => void): Promise<number> {
    // What is lent comes back with TCP's acknowledgement, which is in no hurry.
    const sent = this.#far.write(this.#data, { zeroCopy: this.#lends });
    for (;;) {
      await this.#near.socket.wait(POLLIN);
      const start = performance.now();
      const batch = this.#receiver.tryReceive();
      if (!batch) continue;
      for (const packet of batch) look?.(packet.data) ?? packet.data;
      const { byteLength } = batch;
      batch.release();
      const ns = (performance.now() - start) * 1e6;
      deepEqual(byteLength, this.#data.length);
      if (this.#lends) this.#near.socket.setsockopt(IPPROTO_TCP, TCP_QUICKACK, ON);
      await sent;
      return ns;
    }
  }

  /** Fails unless the bytes arrive that were sent. */
  async prove(): Promise<void> {
    const got: number[] = [];
    await this.wakeUp((data) => got.push(...data));
    deepEqual(Uint8Array.from(got), this.#data);
  }

  /** The median of a slice of wake-ups: what disturbs one of them is not the receiver's. */
  async slice(): Promise<number> {
    const ns: number[] = [];
    for (let wakeUp = 0; wakeUp < SLICE; wakeUp++) ns.push(await this.wakeUp());
    return median(ns);
  }

  [Symbol.dispose](): void {
    this.#near.close();
    this.#far.close();
    this.#region.unmap();
  }
}

/** What is measured, and how often. */
interface Carrier {
  readonly name: string;
  /** Opens a pair whose wake-ups have `size` bytes. */
  open(size: number): Promise<Pair>;
  /** Slices of each mode before the first that counts: auto is to have settled by then. */
  readonly warmUp: number;
  /** Slices of each mode that count. */
  readonly slices: number;
}

async function column({ open, warmUp, slices }: Carrier, size: number): Promise<Round> {
  const flows: Flow[] = [];
  for (const mode of MODES) flows.push(new Flow(await open(size), mode, size));
  try {
    for (let slice = 0; slice < warmUp; slice++) {
      for (const flow of flows) await flow.slice();
    }
    const costs: number[][] = MODES.map(() => []);
    for (let slice = 0; slice < slices; slice++) {
      for (const [index, flow] of flows.entries()) costs[index]!.push(await flow.slice());
    }
    const [copy = NaN, map = NaN, auto = NaN] = costs.map(median);
    return { [`best${size}`]: Math.min(copy, map), [`auto${size}`]: auto };
  } finally {
    for (const flow of flows) flow[Symbol.dispose]();
  }
}

function autoBench(carrier: Carrier): Bench {
  return {
    rounds: 3,
    async prove(): Promise<void> {
      for (const mode of MODES) {
        using flow = new Flow(await carrier.open(64 * KIB), mode, 64 * KIB);
        await flow.prove();
      }
    },
    async round(): Promise<Round> {
      let values: Round = {};
      for (const size of COLUMNS) values = { ...values, ...await column(carrier, size * KIB) };
      return values;
    },
    rows: COLUMNS.map((size) => ({
      name: `auto-${carrier.name}-${size}`,
      what: `${carrier.name}, ${size} KiB, the better of copy and map`,
      ours: `best${size * KIB}`,
      peer: `auto${size * KIB}`,
      peerIs: "auto",
      unit: "ns",
      target: { atLeast: 0.9 },
      note: "three receivers in turn; dequeue, views and release of a wake-up, as in D of perf",
    })),
  };
}

async function openVsockPair(transport: Transport, size: number): Promise<Pair> {
  const options = {
    transport,
    options: { zeroCopyReceive: true, bufferSize: CREDIT, rcvlowat: size },
  };
  using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, options);
  const near = await connect({ cid: 1, port: listener.addr.port }, options);
  return [near, await listener.accept()];
}

/** In segments of one page. */
async function openTcpPair(size: number): Promise<Pair> {
  const options = { options: { maxSegment: PAGE_SEGMENT, rcvlowat: size } };
  using listener = listen({ hostname: "127.0.0.1", port: 0 }, options);
  const near = await connect({ hostname: "127.0.0.1", port: listener.addr.port }, options);
  return [near, await listener.accept()];
}

/** `"auto"` over the loopback in one event loop. */
export const autoLoopback: Bench = autoBench({
  name: "loopback",
  open: (size) => openVsockPair(createLoopback(), size),
  warmUp: 160,
  slices: 64,
});

/** `"auto"` over AF_VSOCK, on a kernel that has the receive ABI. */
export const autoVsock: Bench = autoBench({
  name: "vsock",
  open(size): Promise<Pair> {
    requireLocalVsock();
    return openVsockPair(openVsock(), size);
  },
  warmUp: 8,
  slices: 16,
});

/** `"auto"` over TCP, from a sender that lends its pages. */
export const autoTcp: Bench = autoBench({
  name: "tcp",
  open: openTcpPair,
  warmUp: 96,
  slices: 32,
});
