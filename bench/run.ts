/**
 * `deno task bench`: our numbers beside those of what one would use otherwise.
 *
 * Peers are measured in the same rounds, in turn, and medians compared; only ratios mean something.
 * No time is asserted: it fails where something is broken or gives a wrong answer.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { openVsock } from "../src/kernel/transport.ts";
import { installRuntimes, ROOT } from "../tests/house/toolchain.ts";
import { readArgs } from "../tests/house/usage.ts";
import type { Bench, Row } from "./bench.ts";
import {
  BENCHES,
  DEVICE_BENCHES,
  KERNEL_BENCHES,
  MAPPING_BENCHES,
  TCP_BENCHES,
} from "./benches.ts";
import { requireLocalVsock } from "./kernel_here.ts";
import { thisMachine } from "./machine.ts";
import { parseOptions, type Runtime, USAGE, type What } from "./options.ts";
import { formatTable, type Report } from "./table.ts";

const MEASURE = fileURLToPath(new URL("./measure.ts", import.meta.url));

/** The rows to measure here. */
function namesOf(what: What): readonly string[] {
  return benchesOf(what).flatMap(({ rows }) => rows.map(({ name }) => name));
}

function benchesOf(what: What): readonly Bench[] {
  if (what === "any") return BENCHES;
  if (what === "tcp") return TCP_BENCHES;
  if (what === "device") return DEVICE_BENCHES;
  requireLocalVsock();
  return [...KERNEL_BENCHES, ...(openVsock().capabilities.mapRx ? MAPPING_BENCHES : [])];
}

/** How each runtime is started, and asked for its version. */
function commands(): Readonly<Record<Runtime, readonly string[]>> {
  const { deno, bun, node } = installRuntimes();
  return {
    deno: [deno, "run", "--no-check", "-A", "--unstable-vsock"],
    bun: [bun, "run"],
    node: [node, "--no-warnings", "--experimental-ffi"],
  };
}

/** Runs the benches in a process of their own: its rows. Throws where that fails. */
async function report(
  runtime: Runtime,
  [file = "", ...args]: readonly string[],
  names: readonly string[],
): Promise<Report> {
  const version = await output(file, ["--version"]);
  const lines = await output(file, [...args, MEASURE, ...names]);
  const rows = lines.split("\n").map((line): Row => JSON.parse(line));
  return { runtime: `${runtime} ${/\d+\.\d+\.\d+/.exec(version)?.[0]}`, rows };
}

/** What a program prints on stdout, without the last line end; its stderr goes to ours. */
function output(file: string, args: readonly string[]): Promise<string> {
  const env = { ...process.env, VSOCKIT_DENO: process.execPath }; // which boots guests
  const child = spawn(file, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (data: string) => text += data);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(text.trimEnd());
      else reject(new Error(`${file} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

async function main(): Promise<void> {
  const { runtimes, only, json } = readArgs(USAGE, (args) => parseOptions(args, namesOf));
  const machine = thisMachine();
  console.log(`${machine.cpu}\n${machine.kernel}\nload ${machine.load.toFixed(2)} at the start`);
  const available = commands();
  const reports: Report[] = [];
  for (const runtime of runtimes) reports.push(await report(runtime, available[runtime], only));
  console.log(formatTable(reports));
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ machine, reports }, null, 2)}\n`);
}

await main();
