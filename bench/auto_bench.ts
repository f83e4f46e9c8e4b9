/**
 * What a wake-up costs a receiver that chooses by itself, beside the two ways that it chooses from.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { POLLIN } from "../ffi/abi/poll.ts";
import {
  type Conn,
  connect,
  listen,
  openVsock,
  type Receiver,
  type Transport,
  VMADDR_PORT_ANY,
} from "../mod.ts";
import { createLoopback } from "../src/loopback/mod.ts";
import { type Bench, median, type Round } from "./bench.ts";
import { requireLocalVsock } from "./kernel_here.ts";

const KIB = 1024;
const COLUMNS = [4, 16, 64, 128, 256, 512] as const;
const MODES = ["copy", "map", "auto"] as const;
/** Each mode in turn takes so many wake-ups. */
const SLICE = 32;
const CREDIT = 1024 * KIB;

/** A pair whose receiver takes what a sender in the same thread sends. */
class Flow implements Disposable {
  readonly #near: Conn;
  readonly #far: Conn;
  readonly #receiver: Receiver;
  readonly #data: Uint8Array;

  private constructor(near: Conn, far: Conn, receiver: Receiver, size: number) {
    this.#near = near;
    this.#far = far;
    this.#receiver = receiver;
    this.#data = Uint8Array.from({ length: size }, (_, index) => index * 7 + (index >> 8));
  }

  static async open(
    transport: Transport,
    mode: "copy" | "map" | "auto",
    size: number,
  ): Promise<Flow> {
    const options = {
      transport,
      options: { zeroCopyReceive: true, bufferSize: CREDIT, rcvlowat: size },
    };
    using listener = listen({ cid: 1, port: VMADDR_PORT_ANY }, options);
    const near = await connect({ cid: 1, port: listener.addr.port }, options);
    const far = await listener.accept();
    return new Flow(near, far, near.receiver({ mode, bufferBytes: size }), size);
  }

  /** One wake-up: nanoseconds of dequeuing, lending and giving back; `look` gets the bytes. */
  async wakeUp(look?: (data: Uint8Array) => void): Promise<number> {
    await this.#far.write(this.#data);
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
      return ns;
    }
  }

  /** Fails unless the bytes arrive that were sent. */
  async prove(): Promise<void> {
    const got: number[] = [];
    await this.wakeUp((data) => got.push(...data));
    deepEqual(Uint8Array.from(got), this.#data);
  }

  async slice(): Promise<number> {
    let ns = 0;
    for (let wakeUp = 0; wakeUp < SLICE; wakeUp++) ns += await this.wakeUp();
    return ns / SLICE;
  }

  [Symbol.dispose](): void {
    this.#near.close();
    this.#far.close();
  }
}

/** What is measured, and how often. */
interface Carrier {
  readonly name: string;
  open(): Transport;
  /** Slices of each mode before the first that counts: auto is to have settled by then. */
  readonly warmUp: number;
  /** Slices of each mode that count. */
  readonly slices: number;
}

async function column({ open, warmUp, slices }: Carrier, size: number): Promise<Round> {
  const transport = open();
  const flows = await Promise.all(MODES.map((mode) => Flow.open(transport, mode, size)));
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
        using flow = await Flow.open(carrier.open(), mode, 64 * KIB);
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
      note: "three receivers in turn, a wake-up each: dequeue, views and release, as in D of perf",
    })),
  };
}

/** `"auto"` over the loopback in one event loop. */
export const autoLoopback: Bench = autoBench({
  name: "loopback",
  open: createLoopback,
  warmUp: 160,
  slices: 64,
});

/** `"auto"` over AF_VSOCK, on a kernel that has the receive ABI. */
export const autoVsock: Bench = autoBench({
  name: "vsock",
  open(): Transport {
    requireLocalVsock();
    return openVsock();
  },
  warmUp: 8,
  slices: 16,
});
