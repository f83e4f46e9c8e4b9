/**
 * Flows over TCP from C's sender to one receiver or another, each in a process of its own.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { cProgram } from "./c_program.ts";
import { runtimeArgs } from "./runtime_args.ts";
import type { TcpReceived } from "./tcp_receiver.ts";

const RECEIVER = fileURLToPath(new URL("./tcp_receiver.ts", import.meta.url));

/** One flow. */
export interface TcpFlow {
  /** `"c"`: C's receiver; `"ours"`: one on this runtime. */
  readonly by: "c" | "ours";
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

const PAGE_SEGMENT = 4096 + 12;
const REFERENCE = "tcp_reference";

/** What both ends have to say. */
export interface TcpMeasured extends TcpReceived {
  /** Seconds of processors that the sender took for all bytes. */
  readonly senderCpu: number;
}

/** Runs `flow`. Throws unless every byte arrived. */
export async function runTcpFlow(flow: TcpFlow): Promise<TcpMeasured> {
  const { by, way, chunkBytes, bytes, warmupBytes, zeroCopy } = flow;
  const segment = String(zeroCopy ? PAGE_SEGMENT : 0);
  const args = [way, String(chunkBytes), String(warmupBytes), segment];
  const receiver = by === "c"
    ? start(cProgram(REFERENCE), args)
    : start(process.execPath, [...runtimeArgs(), RECEIVER, ...args]);
  const port = await receiver.line();
  const verb = zeroCopy ? "send-zerocopy" : "send";
  const sender = start(cProgram(REFERENCE), [verb, port, String(bytes), segment]);
  const result: TcpReceived = JSON.parse(await receiver.line());
  const senderCpu = Number(await sender.line());
  await Promise.all([sender.ended, receiver.ended]);
  if (result.bytes !== bytes) throw new Error(`${result.bytes} bytes arrived of ${bytes}`);
  return { ...result, senderCpu };
}

interface Running {
  readonly child: ChildProcess;
  /** The next line of its stdout. */
  line(): Promise<string>;
  readonly ended: Promise<void>;
}

function start(file: string, args: readonly string[]): Running {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  let [text, closed, wake] = ["", false, (): void => {}];
  child.stdout.setEncoding("utf8").on("data", (data: string) => {
    text += data;
    wake();
  }).on("end", () => {
    closed = true;
    wake();
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => code === 0 ? resolve() : reject(new Error(`${file}: ${code}`)));
  });
  ended.catch(() => {}); // whoever waits for a line learns first
  return {
    child,
    ended,
    async line(): Promise<string> {
      while (!text.includes("\n")) {
        if (closed) throw new Error(`${file} ${args[0]} ended without its result`);
        await new Promise<void>((resolve) => wake = resolve);
      }
      const [first = "", ...rest] = text.split("\n");
      text = rest.join("\n");
      return first;
    },
  };
}
