/**
 * What the flags of `vsockit perf` come to.
 *
 * @module
 */
import { statSync } from "node:fs";
import { type Given, parseFlags, readInteger, readText, requireWithout } from "../args/flags.ts";
import { parseSize } from "../args/sizes.ts";
import { UsageError, wrongValue } from "../args/usage.ts";
import { FLAGS } from "./flags.ts";
import { type Alone, BUFFER_MAX, type Mode, type Plan } from "./plan.ts";
import type { Remote } from "./remote.ts";
import { COLUMNS } from "./sweep.ts";
import { TRANSPORTS } from "./transports.ts";

const [PAGE, MIB] = [4096, 1024 * 1024];
const [U32_MAX, INT_MAX] = [0xffff_ffff, 0x7fff_ffff];

/** What was asked for. */
export interface PerfOptions {
  /** The one measurement, or what all of a sweep have in common. */
  readonly plan: Plan;
  /** All columns in all modes. */
  readonly sweep: boolean;
  /** Whether `plan.bytes` was asked for; a sweep chooses by itself otherwise. */
  readonly amountGiven: boolean;
  /** JSON in place of text. */
  readonly json: boolean;
  /** The file to draw a sweep into. */
  readonly svg?: string;
  /** The one end to run, where the other is another process. */
  readonly alone?: Alone;
  /** Who runs the other end as it is asked to. */
  readonly remote?: Remote;
  /** Run the other end of whatever is asked for. */
  readonly serve: boolean;
}

/**
 * Reads the command line. Only `--file` is looked at beyond it.
 *
 * @throws {UsageError} If it cannot be obeyed.
 */
export function parseOptions(args: readonly string[]): PerfOptions {
  const given = parseFlags(FLAGS, args);
  const transport = parseTransport(given);
  const mode = parseMode(given);
  requireWithout(given, "sweep", ["buffer", "rcvlowat", "mode", "pages"]);
  requireWithout(given, "file", ["megabytes"]);
  requireWithout(given, "pages", ["buffer"]);
  requireWithout(given, "tx-zerocopy", ["file"]);
  requireWithout(given, "seqpacket", ["tx-buffer", "tx-zerocopy"]);
  requireWithout(given, "listen", ["server", "cid"]);
  requireWithout(given, "sweep", ALONE_FLAGS);
  requireWithout(given, "peer", ALONE_FLAGS);
  requireWithout(given, "serve", [...ALONE_FLAGS, "peer", "sweep", "file"]);
  const file = readText(given, "file");
  const bytes = file === undefined ? size(given, "megabytes", 256 * MIB, MIB) : fileSize(file);
  const bufferBytes = atMost("--buffer", parseBuffer(given, mode), BUFFER_MAX);
  const { tunesBuffers, maxSegment, lends } = TRANSPORTS.get(transport)!;
  const credit = tunesBuffers ? 0 : 4 * MIB;
  const creditBytes = atMost("--credit", size(given, "credit", credit), U32_MAX);
  const most = creditBytes || Infinity;
  const reachable = given.has("sweep") ? bufferBytes : Math.min(bufferBytes, most);
  const rcvlowatBytes = atMost("--rcvlowat", size(given, "rcvlowat", reachable), INT_MAX);
  if (rcvlowatBytes > most) {
    const rule = `be at most the credit of ${creditBytes} bytes, or the receiver never wakes`;
    throw wrongValue("--rcvlowat", rule, rcvlowatBytes);
  }
  const type = given.has("seqpacket") ? "seqpacket" : "stream";
  if (type === "seqpacket") atMost("--buffer with --seqpacket", bufferBytes, most);
  const plan: Plan = {
    mode,
    transport,
    type,
    port: readInteger(given, "port", 1234, 0, U32_MAX - 1), // the last one means any
    bytes,
    file,
    bufferBytes,
    rcvlowatBytes,
    creditBytes,
    txBufferBytes: type === "seqpacket" ? bufferBytes : parseTxBuffer(given),
    ...((given.has("tx-zerocopy") || lends === "always") && { txZeroCopy: true }),
    ...(maxSegment !== undefined && { maxSegment: size(given, "mss", maxSegment) }),
    verify: given.has("verify"),
  };
  const amountGiven = given.has("megabytes") || file !== undefined;
  const alone = parseAlone(given, transport);
  const remote = parseRemote(given, transport);
  if (given.has("serve")) requireElsewhere("serve", transport);
  const svg = readText(given, "svg");
  if (svg !== undefined && !given.has("sweep")) {
    throw wrongValue("--svg", "be with --sweep", "one measurement");
  }
  return {
    plan,
    sweep: given.has("sweep"),
    amountGiven,
    json: given.has("json"),
    ...(svg !== undefined && { svg }),
    ...(alone && { alone }),
    ...(remote && { remote }),
    serve: given.has("serve"),
  };
}

function size(given: Given, name: string, otherwise: number, unit = 1): number {
  const value = readText(given, name);
  return value === undefined ? otherwise : parseSize(`--${name}`, value, unit);
}

function atMost(flag: string, value: number, limit: number): number {
  if (value <= limit) return value;
  throw wrongValue(flag, `be at most ${limit}`, value);
}

const MODES: Readonly<Record<string, Mode>> = {
  n: "copy",
  y: "zerocopy",
  u: "user-poll",
  a: "auto",
};

function parseMode(given: Given): Mode {
  return MODES[readText(given, "mode") ?? "n"]!;
}

function parseTransport(given: Given): string {
  requireWithout(given, "device", ["transport"]);
  return given.has("device") ? "device" : readText(given, "transport") ?? "loopback";
}

/** Flags that run one end only. */
const ALONE_FLAGS = ["server", "cid", "listen"] as const;

function parseAlone(given: Given, transport: string): Alone | undefined {
  const flag = ALONE_FLAGS.find((flag) => given.has(flag));
  if (flag === undefined) return undefined;
  const role = given.has("server") ? "transmitter" : "receiver";
  const machine = readText(given, "cid");
  const carrier = TRANSPORTS.get(transport)!;
  if (machine !== undefined) carrier.requireMachine?.(machine);
  requireElsewhere(flag, transport);
  return machine ? { role, machine } : { role };
}

function requireElsewhere(flag: string, transport: string): void {
  if (TRANSPORTS.get(transport)!.resolve !== undefined) return;
  throw new UsageError(
    `Cannot use --${flag} with the ${transport}: it lives inside one process: ` +
      "leave out -s, -c and -l, and both ends run in this one",
  );
}

function parseRemote(given: Given, transport: string): Remote | undefined {
  const machine = readText(given, "peer");
  const device = readText(given, "device");
  if (machine === undefined) {
    const other = ["device", "reverse"].find((name) => given.has(name)) ??
      (transport === "device" ? "transport device" : undefined);
    if (other === undefined) return undefined;
    throw new UsageError(`Cannot use --${other}: must be with --peer: it is without`);
  }
  if (transport === "device" && device === undefined) {
    throw new UsageError("Cannot use --transport device: must be with --device: it is without");
  }
  if (device === undefined) requireElsewhere("peer", transport);
  TRANSPORTS.get(transport)!.requireMachine?.(machine);
  const reverse = given.has("reverse");
  if (given.has("file") && !reverse) {
    throw new UsageError("Cannot use --file: must be with --reverse: --peer transmits");
  }
  return { machine, reverse, device };
}

function parseBuffer(given: Given, mode: Mode): number {
  if (given.has("sweep")) return Math.max(...COLUMNS);
  if (!given.has("pages")) return size(given, "buffer", 128 * 1024);
  if (mode !== "copy") return size(given, "pages", 1) * PAGE;
  throw wrongValue("--pages", "be with -z y or -z u", "-z n");
}

function parseTxBuffer(given: Given): number {
  return atMost("--tx-buffer", size(given, "tx-buffer", 16 * MIB), BUFFER_MAX);
}

function fileSize(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && found.size > 0) return found.size;
  const what = found === undefined ? "nothing there" : found.isFile() ? "empty" : "not a file";
  throw new UsageError(`Cannot use --file ${path}: must be a file with bytes in it: it is ${what}`);
}
