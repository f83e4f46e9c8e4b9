/**
 * What the flags of `vsockit cat` come to.
 *
 * @module
 */
import type { ParsedAddress } from "../../address_text.ts";
import type { SocketType } from "../../socket.ts";
import { readAddress } from "../addresses.ts";
import { type Given, parseLine } from "../flags.ts";
import { UsageError } from "../usage.ts";
import { FLAGS } from "./flags.ts";

/** A day, in seconds. */
const TIMEOUT_MAX = 86_400;

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
  const { given, operands: [text, more] } = parseLine(FLAGS, args);
  if (text === undefined) throw new UsageError("Missing operand: ADDRESS");
  if (more !== undefined) throw new UsageError(`Unexpected operand: ${more}`);
  const parsed = readAddress(given.has("listen") ? "listen" : "connect", text);
  const options: CatOptions = {
    address: parsed.address,
    type: readType(given, parsed),
    listen: given.has("listen"),
    keep: given.has("keep"),
    exec: readCommand(given),
    lines: given.has("lines"),
    timeoutMs: readTimeout(given),
    verbose: given.has("verbose"),
  };
  if (options.keep && !options.listen) throw alone("keep", "listen");
  if (options.lines && options.type !== "seqpacket") throw alone("lines", "seqpacket");
  if (options.lines && options.exec !== undefined) {
    throw new UsageError("Cannot use --lines: must be without --exec: current value is both");
  }
  return options;
}

function readType(given: Given, { type }: ParsedAddress): SocketType {
  if (!given.has("seqpacket")) return type ?? "stream";
  if (type !== "stream") return "seqpacket";
  throw new UsageError("Cannot use --seqpacket: must be as in ADDRESS: current value is stream");
}

function readCommand(given: Given): string | undefined {
  const command = given.get("exec");
  if (command === "") {
    throw new UsageError('Cannot use --exec: must be a command: current value is ""');
  }
  return typeof command === "string" ? command : undefined;
}

function readTimeout(given: Given): number | undefined {
  const text = given.get("timeout");
  if (typeof text !== "string") return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (seconds > 0 && seconds <= TIMEOUT_MAX) return Math.ceil(seconds * 1000);
  throw new UsageError(
    `Cannot use --timeout: must be seconds, more than 0 and at most ${TIMEOUT_MAX}: ` +
      `current value is ${text === "" ? '""' : text}`,
  );
}

function alone(flag: string, needed: string): UsageError {
  return new UsageError(
    `Cannot use --${flag}: must be with --${needed}: current value is no --${needed}`,
  );
}
