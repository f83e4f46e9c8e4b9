/**
 * `vsockit perf`: the RFC's `vsock_rx_perf`.
 *
 * @module
 */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { type Command, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "../command.ts";
import { describeFlags } from "../args/flags.ts";
import type { Terminal } from "../output/terminal.ts";
import { UsageError } from "../args/values.ts";
import { FLAGS, parseOptions, type PerfOptions } from "./options.ts";
import { type Mode, modeRow, type Plan } from "./plan.ts";
import { Progress } from "./progress.ts";
import { formatReport } from "./report.ts";
import type { PerfResult, ReceivedResult, SentResult } from "./result.ts";
import { runRemote } from "./remote.ts";
import { runAlone, runPlan } from "./run.ts";
import { serveRemotes } from "./serve.ts";
import { type Runner, sweep } from "./sweep.ts";
import { formatTable, formatVerdict } from "./table.ts";
import { closeDevices, TRANSPORTS } from "./transports.ts";

const HELP = `Usage: vsockit perf [OPTIONS]

Measures what receiving costs: by copy, by zero-copy, by zero-copy with user
poll. A transmitter listens and sends; a receiver connects and takes the data.
Both run in this process, on a Worker each, unless -s, -c or -l asks for one.

${describeFlags(FLAGS)}
SIZE is in bytes, or with K, M or G behind it times 1024; MB counts in M where
it has no letter.

What is printed, and the fields of --json:
  A  tx_seconds       seconds in the transmitter's tx loop
     send_seconds     the part of A inside of send(2)
     tx_copied_share  with --tx-zerocopy: the part that was copied after all
  B  rx_seconds       seconds in the receiver's rx loop, waiting included
  C  dequeue_seconds  seconds in dequeue calls, never more than B: recv(2); or
                      getsockopt(2), making the views, and madvise(2)
     rx_cpu_seconds   CPU of the receiver's process in B, all threads: of both
                      ends, where both are in one process
     mapped_bytes     the bytes that no copy was made of; not with -z n
     wakeups          times the receiver woke up and dequeued something
  D  ns_per_wakeup    C divided by the wake-ups, in nanoseconds
     rx_gbit_per_s    bits received in B, in units of 1e9 a second
     sha256           what both ends agree on, with --verify
Only in --json: mode (copy, zerocopy, user-poll, auto), transport, runtime, type
(stream, seqpacket), bytes, buffer_bytes, rcvlowat_bytes, credit_bytes,
tx_buffer_bytes, and clock_ns: what reading the clock costs, which is done twice
in each wake-up and not subtracted. One end alone prints what it knows.

Examples:
  vsockit perf -m 512 -b 256K -z y --verify
  vsockit perf --sweep --transport tcp --tx-zerocopy --svg sweep.svg
Exit codes: ${EXIT_OK} done, ${EXIT_FAILURE} failed or damaged data, ${EXIT_USAGE} wrong usage, nothing started.
`;

/** The subcommand `perf`. */
export const perf: Command = {
  help: HELP,
  flags: FLAGS,
  async run(args: readonly string[], terminal: Terminal): Promise<number> {
    const options = parseOptions(args);
    requireWorking(options.plan);
    try {
      await measure(options, terminal);
    } finally {
      closeDevices();
    }
    return EXIT_OK;
  },
};

function requireWorking({ transport, mode, txZeroCopy }: Plan): void {
  const carrier = TRANSPORTS[transport];
  if (txZeroCopy && !carrier.lends) {
    throw new UsageError(`Cannot use --tx-zerocopy with ${transport}: it always copies`);
  }
  const lack = carrier.whyNot(mode);
  if (lack === undefined) return;
  throw new UsageError(`Cannot use -z ${modeRow(mode).letter} with ${transport}: ${lack}`);
}

async function measure(options: PerfOptions, terminal: Terminal): Promise<void> {
  const { plan, remote, alone } = options;
  const run = (plan: Plan, label: string): Promise<PerfResult> =>
    remote === undefined
      ? withProgress(label, terminal, (onProgress) => runPlan(plan, onProgress))
      : runRemote(plan, remote);
  const format = options.json ? formatJson : formatReport;
  if (options.serve) {
    await serveRemotes(plan, ({ message }) => terminal.err(`vsockit perf: ${message}\n`));
  } else if (alone !== undefined) {
    const running = (onProgress: (done: number) => void) => runAlone(plan, alone, onProgress);
    terminal.out(format(await withProgress(alone.role, terminal, running)));
  } else if (options.sweep) {
    await printSweep(options, run, terminal);
  } else {
    terminal.out(format(await run(plan, plan.mode)));
  }
}

async function printSweep(options: PerfOptions, run: Runner, terminal: Terminal): Promise<void> {
  using picture = options.svg === undefined ? undefined : openPicture(options.svg);
  const carrier = TRANSPORTS[options.plan.transport];
  const noMapping = carrier.whyNot("zerocopy");
  const results: PerfResult[] = [];
  const works = (mode: Mode): boolean => carrier.whyNot(mode) === undefined;
  const onUnsupported = ({ message }: Error): void => terminal.err(`The other end: ${message}\n`);
  for await (const result of sweep(options, run, works, onUnsupported)) {
    results.push(result);
    if (options.json) terminal.out(formatJson(result));
  }
  if (!options.json) terminal.out(formatTable(results) + formatVerdict(results));
  if (picture !== undefined) {
    const { formatChart } = await import("./chart.ts"); // which few ask for
    picture.draw(formatChart(results));
  }
  if (noMapping !== undefined) terminal.err(`Copies only: ${noMapping}\n`);
}

/** Fails before the sweep, not after; what is there stays, and a pipe is open, until `draw()`. */
function openPicture(path: string): { draw(svg: string): void } & Disposable {
  const fd = openSync(path, "a");
  return {
    draw: (svg) => writeFileSync(path, svg),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** What `run` gives, with a progress bar meanwhile: it tells how much is done, 0 to 1. */
async function withProgress<T>(
  label: string,
  terminal: Terminal,
  run: (onProgress: (done: number) => void) => Promise<T>,
): Promise<T> {
  const progress = new Progress(terminal);
  try {
    return await run((done) => progress.draw(label, done));
  } finally {
    progress.clear();
  }
}

function formatJson(result: PerfResult | SentResult | ReceivedResult): string {
  return `${JSON.stringify(result)}\n`;
}
