/**
 * What the flags of `vsockit perf` come to.
 *
 * @module
 */
import { statSync } from "node:fs";
import { type Given, parseFlags } from "../flags.ts";
import { parseSize } from "../sizes.ts";
import { UsageError } from "../usage.ts";
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
  refuseTogether(given, "sweep", ["buffer", "rcvlowat", "mode", "pages"]);
  refuseTogether(given, "file", ["megabytes"]);
  refuseTogether(given, "pages", ["buffer"]);
  refuseTogether(given, "tx-zerocopy", ["file"]);
  refuseTogether(given, "seqpacket", ["tx-buffer", "tx-zerocopy"]);
  refuseTogether(given, "listen", ["server", "cid"]);
  refuseTogether(given, "sweep", ALONE_FLAGS);
  refuseTogether(given, "peer", ALONE_FLAGS);
  refuseTogether(given, "serve", [...ALONE_FLAGS, "peer", "sweep", "file"]);
  const file = text(given, "file");
  const bytes = file === undefined ? size(given, "megabytes", 256 * MIB, MIB) : fileSize(file);
  const bufferBytes = atMost("--buffer", parseBuffer(given, mode), BUFFER_MAX);
  const { tunesBuffers, maxSegment, lends } = TRANSPORTS.get(transport)!;
  const credit = tunesBuffers ? 0 : 4 * MIB;
  const creditBytes = atMost("--credit", size(given, "credit", credit), U32_MAX);
  const most = creditBytes || Infinity;
  const reachable = given.has("sweep") ? bufferBytes : Math.min(bufferBytes, most);
  const rcvlowatBytes = atMost("--rcvlowat", size(given, "rcvlowat", reachable), INT_MAX);
  if (rcvlowatBytes > most) {
    throw new UsageError(
      `Cannot use --rcvlowat: must be at most the credit of ${creditBytes} bytes, ` +
        `or the receiver never wakes: current value is ${rcvlowatBytes}`,
    );
  }
  const type = given.has("seqpacket") ? "seqpacket" : "stream";
  if (type === "seqpacket") atMost("--buffer with --seqpacket", bufferBytes, most);
  const plan: Plan = {
    mode,
    transport,
    type,
    port: parseU32("--port", text(given, "port") ?? "1234"),
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
  const svg = text(given, "svg");
  if (svg !== undefined && !given.has("sweep")) {
    throw new UsageError(
      "Cannot use --svg: must be with --sweep: current value is one measurement",
    );
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

function text(given: Given, name: string): string | undefined {
  const value = given.get(name);
  return typeof value === "string" ? value : undefined;
}

function size(given: Given, name: string, otherwise: number, unit = 1): number {
  const value = text(given, name);
  return value === undefined ? otherwise : parseSize(`--${name}`, value, unit);
}

function atMost(flag: string, value: number, limit: number): number {
  if (value <= limit) return value;
  throw new UsageError(`Cannot use ${flag}: must be at most ${limit}: current value is ${value}`);
}

function refuseTogether(given: Given, name: string, others: readonly string[]): void {
  const other = others.find((other) => given.has(other));
  if (!given.has(name) || other === undefined) return;
  throw new UsageError(
    `Cannot use --${name}: must be without --${other}: current value is both`,
  );
}

const MODES: Readonly<Record<string, Mode>> = {
  n: "copy",
  y: "zerocopy",
  u: "user-poll",
  a: "auto",
};

function parseMode(given: Given): Mode {
  const letter = text(given, "mode") ?? "n";
  const mode = Object.hasOwn(MODES, letter) ? MODES[letter] : undefined;
  if (mode !== undefined) return mode;
  throw new UsageError(`Cannot use --mode: must be n, y, u or a: current value is ${letter}`);
}

function parseTransport(given: Given): string {
  if (given.has("device")) refuseTogether(given, "device", ["transport"]);
  const name = given.has("device") ? "device" : text(given, "transport") ?? "loopback";
  if (!TRANSPORTS.has(name)) {
    const names = [...TRANSPORTS.keys()].join(", ");
    throw new UsageError(
      `Cannot use --transport: must be one of ${names}: current value is ${name}`,
    );
  }
  return name;
}

/** Flags that run one end only. */
const ALONE_FLAGS = ["server", "cid", "listen"] as const;

function parseAlone(given: Given, transport: string): Alone | undefined {
  const flag = ALONE_FLAGS.find((flag) => given.has(flag));
  if (flag === undefined) return undefined;
  const role = given.has("server") ? "transmitter" : "receiver";
  const machine = text(given, "cid");
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
  const machine = text(given, "peer");
  const device = text(given, "device");
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
  throw new UsageError("Cannot use --pages: must be with -z y or -z u: current value is -z n");
}

function parseTxBuffer(given: Given): number {
  return atMost("--tx-buffer", size(given, "tx-buffer", 16 * MIB), BUFFER_MAX);
}

/** A port: all of u32 but its last, which means any. */
function parseU32(flag: string, value: string): number {
  if (/^\d+$/.test(value) && Number(value) < U32_MAX) return Number(value);
  throw new UsageError(
    `Cannot use ${flag}: must be an integer from 0 to ${U32_MAX - 1}: current value is ${value}`,
  );
}

function fileSize(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && found.size > 0) return found.size;
  const what = found === undefined ? "nothing there" : found.isFile() ? "empty" : "not a file";
  throw new UsageError(`Cannot use --file ${path}: must be a file with bytes in it: it is ${what}`);
}
