/**
 * The flags of `vsockit perf`, and what they come to.
 *
 * @module
 */
import { statSync } from "node:fs";
import { type Flag, flag } from "../args/flags.ts";
import {
  type Given,
  parseFlags,
  readBytes,
  readInteger,
  readText,
  requireWith,
  requireWithout,
} from "../args/line.ts";
import { UsageError, wrongValue } from "../args/values.ts";
import { type Alone, BUFFER_MAX, type Mode, MODES, type Plan, type TransportName } from "./plan.ts";
import type { Remote } from "./remote.ts";
import { COLUMNS } from "./sweep.ts";
import { TRANSPORTS } from "./transports.ts";

const LETTERS = MODES.map(({ letter }) => letter).join("|");
/** The device has a flag of its own. */
const NAMES = ["loopback", "vsock", "tcp"] as const;

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  flag("-m, --megabytes MB", "how much to send [256]"),
  flag("-b, --buffer SIZE", "receiver's buffer or mapping [128K]"),
  flag("-r, --rcvlowat SIZE", "receiver's SO_RCVLOWAT [same as -b]"),
  flag(
    "-v, --credit SIZE",
    "socket buffer of both ends: the credit\n[4M; over TCP what the kernel finds best]",
  ),
  flag("--mss SIZE", "TCP_MAXSEG of both ends; 0 leaves it as it is [4108]"),
  flag(
    `-z, --mode ${LETTERS}`,
    "receive by n copy, y zero-copy and poll,\n" +
      "u zero-copy and user poll (spin), a whichever of\nn and y is cheaper [n]",
  ),
  flag("--pages N", "in place of -b, with -z y or u: data pages of the\nmapping, 4096 bytes each"),
  flag("--tx-buffer SIZE", "what the transmitter gives to one send(2) [16M]"),
  flag("--tx-zerocopy", "send with MSG_ZEROCOPY; prints which part the\nkernel copied after all"),
  flag("--seqpacket", "messages of -b bytes in place of a stream"),
  flag("--file PATH", "send this file in place of pseudo-random bytes"),
  flag(
    "--verify",
    "compare SHA-256 of what was sent and what was got;\nhashing counts in A and B, not in C",
  ),
  flag("--sweep", "all modes with -b and -r from 4K to 512K;\nwithout -m about a second each"),
  flag("--svg FILE", "with --sweep: draw D by the bytes of a wake-up, too"),
  flag("--json", "one JSON object a line in place of text"),
  flag("--transport NAME", `one of: ${NAMES.join(", ")} [loopback]`, { choices: NAMES }),
  flag("--port PORT", "where one end listens [1234]"),
  flag("-s, --server", "only the transmitter, which listens, or with -c\nconnects (to vsock_perf)"),
  flag(
    "-c, --cid CID",
    "only the receiver, which connects to CID,\nover TCP to a hostname or an address",
  ),
  flag("-l, --listen", "only the receiver, which listens\n(for vsock_perf --sender CID)"),
  flag(
    "--serve",
    "run the other end of whatever --peer asks for,\nwith --transport and --port, until killed",
  ),
  flag(
    "--peer CID",
    "the other end is run by perf --serve there, which\n" +
      "transmits; over TCP a hostname or an address",
  ),
  flag("--reverse", "with --peer: this end transmits"),
  flag(
    "--device PATH",
    "with --peer: be the vsock device of that guest,\n" +
      "whose VMM connects to this Unix socket (vhost-user)",
  ),
];

const [PAGE, MIB] = [4096, 1024 * 1024];
const [U32_MAX, INT_MAX] = [0xffff_ffff, 0x7fff_ffff];
/** What the kernel takes as TCP_MAXSEG. */
const SEGMENT_MAX = 0x7fff;

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
  readonly svg: string | undefined;
  /** The one end to run, where the other is another process. */
  readonly alone: Alone | undefined;
  /** Who runs the other end as it is asked to. */
  readonly remote: Remote | undefined;
  /** Run the other end of whatever is asked for. */
  readonly serve: boolean;
}

/** Flags that run one end only. */
const ALONE_FLAGS = ["server", "cid", "listen"] as const;

/**
 * Reads the command line. Only `--file` is looked at beyond it.
 *
 * @throws {UsageError} If it cannot be obeyed.
 */
export function parseOptions(args: readonly string[]): PerfOptions {
  const given = parseFlags(FLAGS, args);
  requireConsistent(given);
  const transport = parseTransport(given);
  const plan = parsePlan(given, transport);
  if (given.has("serve")) requireElsewhere("serve", transport);
  return {
    plan,
    sweep: given.has("sweep"),
    amountGiven: given.has("megabytes") || plan.file !== undefined,
    json: given.has("json"),
    svg: readText(given, "svg"),
    alone: parseAlone(given, transport),
    remote: parseRemote(given, transport),
    serve: given.has("serve"),
  };
}

function requireConsistent(given: Given): void {
  requireWithout(given, "sweep", ["buffer", "rcvlowat", "mode", "pages", ...ALONE_FLAGS]);
  requireWithout(given, "file", ["megabytes"]);
  requireWithout(given, "pages", ["buffer"]);
  requireWithout(given, "tx-zerocopy", ["file"]);
  requireWithout(given, "seqpacket", ["tx-buffer", "tx-zerocopy"]);
  requireWithout(given, "listen", ["server", "cid"]);
  requireWithout(given, "peer", ALONE_FLAGS);
  requireWithout(given, "serve", [...ALONE_FLAGS, "peer", "sweep", "file"]);
  requireWithout(given, "device", ["transport"]);
  requireWith(given, "svg", "sweep");
  requireWith(given, "device", "peer");
  requireWith(given, "reverse", "peer");
}

function parsePlan(given: Given, transport: TransportName): Plan {
  const { tunesBuffers, maxSegment, lends } = TRANSPORTS[transport];
  const mode = parseMode(given);
  const type = given.has("seqpacket") ? "seqpacket" : "stream";
  const file = readText(given, "file");
  if (given.has("mss") && maxSegment === undefined) {
    throw wrongValue("--mss", "be with --transport tcp", transport);
  }
  const bufferBytes = parseBuffer(given, mode);
  const [credit, creditMax] = tunesBuffers ? [0, INT_MAX] : [4 * MIB, U32_MAX];
  const creditBytes = readBytes(given, "credit", credit, 1, creditMax);
  const most = creditBytes || Infinity;
  const rcvlowatBytes = parseLowat(given, bufferBytes, most);
  if (type === "seqpacket" && bufferBytes > most) {
    throw wrongValue("--buffer with --seqpacket", `be at most ${most}`, bufferBytes);
  }
  return {
    mode,
    transport,
    type,
    port: readInteger(given, "port", 1234, 0, U32_MAX - 1), // the last one means any
    bytes: file === undefined
      ? readBytes(given, "megabytes", 256 * MIB, 1, Number.MAX_SAFE_INTEGER, MIB)
      : fileSize(file),
    file,
    bufferBytes,
    rcvlowatBytes,
    creditBytes,
    txBufferBytes: type === "seqpacket"
      ? bufferBytes
      : readBytes(given, "tx-buffer", 16 * MIB, 1, BUFFER_MAX),
    txZeroCopy: given.has("tx-zerocopy") || lends === "always",
    maxSegment: maxSegment && readBytes(given, "mss", maxSegment, 0, SEGMENT_MAX),
    verify: given.has("verify"),
  };
}

function parseTransport(given: Given): TransportName {
  if (given.has("device")) return "device";
  const name = readText(given, "transport");
  return NAMES.find((known) => known === name) ?? "loopback";
}

function parseMode(given: Given): Mode {
  const letter = readText(given, "mode");
  return MODES.find((row) => row.letter === letter)?.mode ?? "copy";
}

function parseBuffer(given: Given, mode: Mode): number {
  if (given.has("sweep")) return Math.max(...COLUMNS);
  if (!given.has("pages")) return readBytes(given, "buffer", 128 * 1024, 1, BUFFER_MAX);
  if (mode === "copy") throw wrongValue("--pages", "be with -z y or -z u", "-z n");
  return readInteger(given, "pages", 1, 1, BUFFER_MAX / PAGE) * PAGE;
}

function parseLowat(given: Given, bufferBytes: number, most: number): number {
  const otherwise = given.has("sweep") ? bufferBytes : Math.min(bufferBytes, most);
  const lowat = readBytes(given, "rcvlowat", otherwise, 1, INT_MAX);
  if (lowat <= most) return lowat;
  const rule = `be at most the credit of ${most} bytes, or the receiver never wakes`;
  throw wrongValue("--rcvlowat", rule, lowat);
}

function parseAlone(given: Given, transport: TransportName): Alone | undefined {
  const flag = ALONE_FLAGS.find((flag) => given.has(flag));
  if (flag === undefined) return undefined;
  const machine = readMachine(given, "cid", transport);
  requireElsewhere(flag, transport);
  return { role: given.has("server") ? "transmitter" : "receiver", machine };
}

function readMachine(given: Given, flag: string, transport: TransportName): string | undefined {
  const machine = readText(given, flag);
  if (machine !== undefined) TRANSPORTS[transport].requireMachine(`--${flag}`, machine);
  return machine;
}

function requireElsewhere(flag: string, transport: TransportName): void {
  if (TRANSPORTS[transport].resolve !== undefined) return;
  throw new UsageError(
    `Cannot use --${flag} with the ${transport}: it lives inside one process: ` +
      `use --transport vsock or tcp, or leave out --${flag}, and both ends run in this one`,
  );
}

function parseRemote(given: Given, transport: TransportName): Remote | undefined {
  const machine = readMachine(given, "peer", transport);
  if (machine === undefined) return undefined;
  const device = readText(given, "device");
  if (device === undefined) requireElsewhere("peer", transport);
  const reverse = given.has("reverse");
  if (given.has("file") && !reverse) {
    throw new UsageError("Cannot use --file: must be with --reverse: --peer transmits");
  }
  return { machine, reverse, device };
}

function fileSize(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && found.size > 0) return found.size;
  const why = found === undefined
    ? "there is none"
    : found.isFile()
    ? "it is empty"
    : "it is not a file";
  throw new UsageError(`Cannot use --file ${path}: must be a file with bytes in it: ${why}`);
}
