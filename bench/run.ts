/**
 * `deno task bench`: our numbers beside those of what one would use otherwise.
 *
 * Peers are measured in the same rounds, in turn, and medians compared; only ratios mean something.
 * No time is asserted: it fails where something is broken or gives a wrong answer, and says which
 * rows were not measured. Each row is told on stderr once it is measured, and the tables of all go
 * to stdout at the end.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { openVsock } from "../src/kernel/transport.ts";
import type { Runtime } from "../tests/helpers/runtime.ts";
import { endOnSignals, startGroup } from "../tests/house/group.ts";
import { installRuntimes } from "../tests/house/toolchain.ts";
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
import { parseOptions, USAGE, type What } from "./options.ts";
import { formatLine, formatTable, type Report } from "./table.ts";

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
    bun: [bun],
    node: [node, "--no-warnings"],
  };
}

/** Runs the benches in a process of their own: the rows that it could measure. */
async function report(
  runtime: Runtime,
  [file = "", ...args]: readonly string[],
  names: readonly string[],
): Promise<Report> {
  const version = execFileSync(file, ["--version"], { encoding: "utf8" });
  const title = `${runtime} ${/\d+\.\d+\.\d+/.exec(version)?.[0]}`;
  const child = startGroup([file, ...args, MEASURE, ...names], ["ignore", "pipe", "inherit"]);
  const ended = once(child, "close");
  const rows: Row[] = [];
  for await (const line of createInterface({ input: child.stdout! })) {
    const row: Row = JSON.parse(line);
    console.error(`${title}: ${formatLine(row)}`);
    rows.push(row);
  }
  const [code, signal] = await ended;
  if (code !== 0) console.error(`${title} ended with ${signal ?? `exit code ${code}`}`);
  const missing = names.filter((name) => !rows.some((row) => row.name === name));
  if (code !== 0 || missing.length > 0) process.exitCode = 1;
  return { runtime: title, rows, missing };
}

async function main(): Promise<void> {
  endOnSignals();
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
