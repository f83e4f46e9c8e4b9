/**
 * Flows over TCP from C's sender to one receiver or another, each in a process of its own.
 *
 * @module
 */
import { PAGE_SEGMENT } from "../src/cli/perf/tcp.ts";
import { childCommand } from "../tests/helpers/child.ts";
import { cProgram } from "./c_program.ts";
import { start } from "./running.ts";
import { type StartedReceiver, startTcpMmap } from "./tcp_mmap.ts";
import type { TcpReceived } from "./tcp_receiver.ts";

const RECEIVER = new URL("./tcp_receiver.ts", import.meta.url);

/** Who receives. */
export type TcpReceiverName = "c" | "tcp_mmap" | "ours";

/** One flow. */
export interface TcpFlow {
  /** `"c"`: our receiver in C; `"tcp_mmap"`: the kernel's; `"ours"`: one on this runtime. */
  readonly by: TcpReceiverName;
  /** `"copy"` or `"map"`; on this runtime also `"read"`, and its own ways. */
  readonly way: string;
  /** The receiver's buffer and `SO_RCVLOWAT`. */
  readonly chunkBytes: number;
  /** Bytes in all. */
  readonly bytes: number;
  /** Those of them before the clock starts. */
  readonly warmupBytes: number;
  /** Whether the sender lends its pages, in segments of one page. */
  readonly zeroCopy: boolean;
}

const REFERENCE = "tcp_reference";

/** What both ends have to say. */
export interface TcpMeasured extends TcpReceived {
  /** Seconds of processors that the sender took for all bytes. */
  readonly senderCpu: number;
}

/** Runs `flow`. Throws unless every byte arrived. */
export async function runTcpFlow(flow: TcpFlow): Promise<TcpMeasured> {
  const { bytes, zeroCopy } = flow;
  const segment = String(zeroCopy ? PAGE_SEGMENT : 0);
  const receiver = await startReceiver(flow, segment);
  const verb = zeroCopy ? "send-zerocopy" : "send";
  const sender = start([cProgram(REFERENCE), verb, receiver.port, String(bytes), segment]);
  const result = await receiver.result(bytes);
  const senderCpu = Number(await sender.line());
  await sender.ended;
  if (result.bytes !== bytes) throw new Error(`${result.bytes} bytes arrived of ${bytes}`);
  return { ...result, senderCpu };
}

async function startReceiver(flow: TcpFlow, segment: string): Promise<StartedReceiver> {
  const { by, way, chunkBytes, warmupBytes } = flow;
  if (by === "tcp_mmap") return await startTcpMmap(segment);
  const args = [way, String(chunkBytes), String(warmupBytes), segment];
  const receiver = by === "c"
    ? start([cProgram(REFERENCE), ...args])
    : start([...childCommand(RECEIVER), ...args]);
  return {
    port: await receiver.line(),
    async result(): Promise<TcpReceived> {
      const result: TcpReceived = JSON.parse(await receiver.line());
      await receiver.ended;
      return result;
    },
  };
}
