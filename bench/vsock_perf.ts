/**
 * Transfers from C's `vsock_perf --sender` to its own receiver or to ours.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import process from "node:process";
import { VMADDR_CID_LOCAL } from "../ffi/abi/vm_sockets.ts";
import { childCommand } from "../tests/helpers/child.ts";
import { TempFolder } from "../tests/helpers/temp_folder.ts";

const MAIN = new URL("../src/cli/main.ts", import.meta.url);
const [ATTEMPTS, PAUSE_MS] = [300, 100];
let port = 3_000;

/** One transfer. */
export interface Transfer {
  readonly bytes: number;
  readonly bufferBytes: number;
  readonly creditBytes: number;
  readonly rcvlowatBytes: number;
}

function cReceiver(transfer: Transfer, port: number): readonly string[] {
  const { bufferBytes, creditBytes, rcvlowatBytes } = transfer;
  return [
    ...[binary(), "--port", `${port}`, "--buf-size", `${bufferBytes}`],
    ...["--vsk-size", `${creditBytes}`, "--rcvlowat", `${rcvlowatBytes}`],
  ];
}

function ourReceiver(transfer: Transfer, port: number): readonly string[] {
  const { bufferBytes, creditBytes, rcvlowatBytes } = transfer;
  return [
    ...[...childCommand(MAIN), "perf", "--transport", "vsock", "--listen"],
    ...["--json", "--port", `${port}`, "-b", `${bufferBytes}`],
    ...["-v", `${creditBytes}`, "-r", `${rcvlowatBytes}`],
  ];
}

/** Gbit/s as `vsock_perf` counts them. */
export async function receiveByC(transfer: Transfer): Promise<number> {
  const text = await receive(transfer, (port) => cReceiver(transfer, port));
  const found = /rx performance: ([\d.]+) Gbits/.exec(text);
  if (found === null) throw new Error(`vsock_perf said no number: ${text}`);
  return Number(found[1]);
}

/** Gbit/s of `vsockit perf` on this runtime. Throws unless every byte arrived. */
export async function receiveByUs(transfer: Transfer): Promise<number> {
  const text = await receive(transfer, (port) => ourReceiver(transfer, port));
  const result: { bytes: number; rx_gbit_per_s: number } = JSON.parse(text);
  if (result.bytes !== transfer.bytes) {
    throw new Error(`${result.bytes} bytes arrived of ${transfer.bytes}`);
  }
  return result.rx_gbit_per_s;
}

/** How many system calls of `names` a receiver makes for `transfer`, C's or ours. */
export async function countCalls(
  by: "c" | "us",
  transfer: Transfer,
  names: readonly string[],
): Promise<number> {
  using folder = new TempFolder();
  const counts = folder.path("counts");
  const trace = ["strace", "-f", "-c", "-o", counts, "-e", `trace=${names.join(",")}`];
  const receiver = by === "c" ? cReceiver : ourReceiver;
  await receive(transfer, (port) => [...trace, ...receiver(transfer, port)]);
  // "100.00    0.197252         192      1025         1 total": the fourth is calls.
  const total = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).* total$/m.exec(readFileSync(counts, "utf8"));
  if (total === null) throw new Error("strace counted nothing");
  return Number(total[1]);
}

function binary(): string {
  const path = process.env["VSOCK_PERF"];
  if (path !== undefined) return path;
  throw new Error("Cannot measure: VSOCK_PERF must name the kernel's vsock_perf");
}

/** Runs the receiver, then C's sender, again until the receiver listens: what the receiver says. */
async function receive(
  { bytes, bufferBytes, creditBytes }: Transfer,
  receiver: (port: number) => readonly string[],
): Promise<string> {
  const at = port++;
  const receiving = run(receiver(at));
  const sender = [
    ...[binary(), "--sender", `${VMADDR_CID_LOCAL}`, "--port", `${at}`],
    ...["--bytes", `${bytes}`, "--buf-size", `${bufferBytes}`, "--vsk-size", `${creditBytes}`],
  ];
  try {
    for (let attempt = 1; receiving.child.exitCode === null; attempt++) {
      const { code, text, said } = await run(sender).ended;
      if (code === 0) break;
      if (attempt === ATTEMPTS) throw new Error(`vsock_perf --sender: ${text}${said}`);
      await setTimeout(PAUSE_MS);
    }
    const { code, text, said } = await receiving.ended;
    if (code !== 0) throw new Error(`receiver ended with ${code}: ${text}${said}`);
    return text;
  } finally {
    receiving.child.kill();
  }
}

interface Running {
  readonly child: ChildProcess;
  /** Its exit code, its stdout and its stderr. */
  readonly ended: Promise<{ code: number | null; text: string; said: string }>;
}

function run([file = "", ...args]: readonly string[]): Running {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [text, said] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (data: string) => text += data);
  child.stderr.setEncoding("utf8").on("data", (data: string) => said += data);
  const ended = new Promise<{ code: number | null; text: string; said: string }>(
    (resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, text, said }));
    },
  );
  return { child, ended };
}
