/**
 * The flags of `vsockit cat`, and what they come to.
 *
 * @module
 */
import type { ParsedAddress } from "../../address_text.ts";
import type { SocketType } from "../../socket.ts";
import { readAddress } from "../args/addresses.ts";
import {
  type Flag,
  type Given,
  HELP_FLAG,
  parseLine,
  readText,
  requireWith,
  requireWithout,
} from "../args/flags.ts";
import { UsageError, wrongValue } from "../args/values.ts";

/** A day, in seconds. */
const TIMEOUT_MAX = 86_400;

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  { name: "listen", short: "l", help: "wait for a connection in place of making one" },
  {
    name: "keep",
    short: "k",
    help:
      "with -l: go on listening. Without -e standard\ninput is not sent, and one is served after the other",
  },
  {
    name: "exec",
    short: "e",
    value: "COMMAND",
    help: "give each connection to sh -c COMMAND, as its\nstandard input and output",
  },
  { name: "seqpacket", help: "messages: each read of standard input is one" },
  { name: "lines", help: "with --seqpacket: each line is a message" },
  {
    name: "timeout",
    short: "w",
    value: "SECONDS",
    help: "fail when there is no connection, or without\n-e when nothing moves, for so long",
  },
  { name: "verbose", short: "v", help: "say on standard error who listens and connects" },
  HELP_FLAG,
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
