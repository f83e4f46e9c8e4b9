/**
 * A flow: bytes one way from one Worker to another, over the loopback or over AF_UNIX.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { Control } from "../src/cli/perf/control.ts";
import { outcomeOf } from "../src/cli/perf/run.ts";
import { createLoopbackLink, type LoopbackEnd } from "../src/loopback/mod.ts";
import { TempFolder } from "../tests/helpers/temp_folder.ts";

/** What carries a flow and how its receiver takes it. */
export type Way = "unix" | "unix-onread" | "copy" | "zerocopy" | "user-poll";

/** One flow. Plain data: it crosses to the Workers by structured clone. */
export interface Flow {
  readonly way: Way;
  /** Bytes in all. */
  readonly bytes: number;
  /** The part of them before the clock starts. */
  readonly warmupBytes: number;
  /** What one write hands over, and what one read takes at most. */
  readonly chunkBytes: number;
  /** `SO_VM_SOCKETS_BUFFER_SIZE` of both ends; means nothing to AF_UNIX. */
  readonly creditBytes: number;
  /** Whether the receiver reads a byte of every 64 that it gets: of every cache line. */
  readonly touch: boolean;
  /** Whether both ends hash all bytes. */
  readonly hash: boolean;
}

/** What the receiver measured. */
export interface Received {
  /** Bytes received in all. */
  readonly bytes: number;
  /** Bytes a second after the warm-up. */
  readonly bytesPerSecond: number;
  /** The most that resident memory of the process was above that at the first bytes. */
  readonly rssGrowth: number;
  /** Calls of the receiver that brought bytes. */
  readonly takes: number;
  /** SHA-256 in hexadecimal, where asked for. */
  readonly sha256?: string | undefined;
}

/** What the sender did. */
export interface Sent {
  /** SHA-256 in hexadecimal, where asked for. */
  readonly sha256?: string | undefined;
}

/** What a Worker is started with. */
export interface FlowTask {
  readonly role: "sender" | "receiver";
  readonly flow: Flow;
  /** The sender's end of a link and the receiver's. */
  readonly ends: readonly [LoopbackEnd, LoopbackEnd];
  /** Where the socket of AF_UNIX is to be. */
  readonly path: string;
  /** The memory of a `Control`. */
  readonly control: SharedArrayBuffer;
}

/**
 * Runs `flow`, both ends on Workers of their own.
 *
 * @throws {Error} Unless all bytes arrived, with the same hash.
 */
export async function runFlow(flow: Flow): Promise<Received> {
  using folder = new TempFolder();
  const control = new Control().memory;
  const shared = { flow, ends: createLoopbackLink(), path: folder.path("unix"), control };
  const workers: Worker[] = [];
  const start = <Result>(role: FlowTask["role"]): Promise<Result> => {
    const workerData: FlowTask = { ...shared, role };
    const worker = new Worker(new URL("./flow_worker.ts", import.meta.url), { workerData });
    workers.push(worker);
    return outcomeOf<Result>(role, worker);
  };
  try {
    const [sent, received] = await Promise.all([
      start<Sent>("sender"),
      start<Received>("receiver"),
    ]);
    if (received.bytes !== flow.bytes || received.sha256 !== sent.sha256) {
      throw new Error(
        `The ends of ${flow.way} disagree: ${flow.bytes} bytes ${sent.sha256} were sent, ` +
          `${received.bytes} ${received.sha256} arrived`,
      );
    }
    return received;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
