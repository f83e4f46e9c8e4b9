/**
 * The flags of `vsockit cat`, and what they come to.
 *
 * @module
 */
import type { ParsedAddress } from "../../address_text.ts";
import type { SocketType } from "../../socket.ts";
import { readAddress, requireFamilyHas } from "../args/addresses.ts";
import { type Flag, flag } from "../args/flags.ts";
import { type Given, parseLine, readText, requireWith, requireWithout } from "../args/line.ts";
import { UsageError, wrongValue } from "../args/values.ts";

/** A day, in seconds. */
const TIMEOUT_MAX = 86_400;

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  flag("-l, --listen", "wait for a connection in place of making one"),
  flag(
    "-k, --keep",
    "with -l: go on listening. Without -e standard\n" +
      "input is not sent, and one is served after the other",
  ),
  flag(
    "-e, --exec COMMAND",
    "give each connection to sh -c COMMAND, as its\nstandard input and output",
  ),
  flag("--seqpacket", "messages: each read of standard input is one"),
  flag("--lines", "with --seqpacket: each line is a message"),
  flag(
    "-w, --timeout SECONDS",
    "fail when there is no connection, or without\n-e when nothing moves, for so long",
  ),
  flag("-v, --verbose", "say on standard error who listens and connects"),
];

/** What was asked for. */
export interface CatOptions extends ParsedAddress {
  /** Bytes or messages. */
  readonly type: SocketType;
  /** Whether to wait for connections in place of making one. */
  readonly listen: boolean;
  /** Whether to go on after the first. */
  readonly keep: boolean;
  /** What each connection is given to. */
  readonly exec?: string | undefined;
  /** Whether each line is a message. */
  readonly lines: boolean;
  /** How long it may take to connect, and nothing may move. */
  readonly timeoutMs?: number | undefined;
  /** Whether to say who listens and connects. */
  readonly verbose: boolean;
}

/**
 * Reads the command line.
 *
 * @throws {UsageError} If it cannot be obeyed.
 */
export function parseOptions(args: readonly string[]): CatOptions {
  const { given, operands: [text] } = parseLine(FLAGS, args, 1);
  if (text === undefined) throw new UsageError("Missing operand: ADDRESS");
  const listen = given.has("listen");
  const parsed = readAddress(listen ? "listen" : "connect", text);
  const type = readType(given, parsed);
  requireFamilyHas("ADDRESS", text, parsed.address, type);
  requireWith(given, "keep", "listen");
  if (type === "stream") requireWith(given, "lines", "seqpacket");
  requireWithout(given, "lines", ["exec"]);
  return {
    address: parsed.address,
    type,
    listen,
    keep: given.has("keep"),
    exec: readCommand(given),
    lines: given.has("lines"),
    timeoutMs: readTimeout(given),
    verbose: given.has("verbose"),
  };
}

function readType(given: Given, { type }: ParsedAddress): SocketType {
  if (!given.has("seqpacket")) return type ?? "stream";
  if (type !== "stream") return "seqpacket";
  throw wrongValue("--seqpacket", "be as in ADDRESS", "stream");
}

function readCommand(given: Given): string | undefined {
  const command = readText(given, "exec");
  if (command === "") throw wrongValue("--exec", "be a command", command);
  return command;
}

function readTimeout(given: Given): number | undefined {
  const text = readText(given, "timeout");
  if (text === undefined) return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (seconds > 0 && seconds <= TIMEOUT_MAX) return Math.ceil(seconds * 1000);
  throw wrongValue("--timeout", `be seconds, more than 0 and at most ${TIMEOUT_MAX}`, text);
}
