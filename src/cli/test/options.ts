/**
 * What the flags of `vsockit test` come to.
 *
 * @module
 */
import { type Given, parseFlags, readMany } from "../flags.ts";
import { UsageError } from "../usage.ts";
import type { Mode } from "./case.ts";
import { CASES } from "./cases.ts";
import { FLAGS } from "./flags.ts";

const [U16_MAX, U32_MAX] = [0xffff, 0xffff_ffff];

/** One end of a run, the other one being a process of its own. */
export interface Role {
  /** Which end. */
  readonly mode: Mode;
  /** Where the control socket is: a name or an address. */
  readonly controlHost: string;
  /** Its TCP port. */
  readonly controlPort: number;
  /** CID of the other end. */
  readonly peerCid: number;
}

/** What was asked for. */
export interface TestOptions {
  /** Only print the list. */
  readonly list: boolean;
  /** Which end to be; without it, both. */
  readonly role?: Role | undefined;
  /** The port that the tests use; they use the next one too. */
  readonly peerPort: number;
  /** Whether a test is wanted. */
  readonly chosen: (id: number) => boolean;
}

/**
 * Reads the command line.
 *
 * @throws {UsageError} If it cannot be obeyed.
 */
export function parseOptions(args: readonly string[]): TestOptions {
  const given = parseFlags(FLAGS, args);
  const [picked, skipped] = [parseIds(given, "pick"), parseIds(given, "skip")];
  const role = parseRole(given);
  requireTransport(given, role);
  return {
    list: given.has("list"),
    role,
    peerPort: parseNumber(given, "peer-port", U32_MAX - 2, 1234),
    chosen: (id) => !skipped?.has(id) && (picked?.has(id) ?? true),
  };
}

function parseRole(given: Given): Role | undefined {
  const mode = given.get("mode");
  if (mode === undefined) {
    const other = ["control-host", "control-port", "peer-cid"].find((name) => given.has(name));
    if (other === undefined) return undefined;
    throw new UsageError(`Cannot use --${other}: must be with --mode: current value is no --mode`);
  }
  if (mode !== "client" && mode !== "server") {
    throw new UsageError(
      `Cannot use --mode: must be client or server: current value is ${mode}`,
    );
  }
  const host = given.get("control-host") ?? (mode === "server" ? "0.0.0.0" : undefined);
  if (typeof host !== "string" || host === "") throw missing("control-host", mode);
  return {
    mode,
    controlHost: host,
    controlPort: parseNumber(given, "control-port", U16_MAX),
    peerCid: parseNumber(given, "peer-cid", U32_MAX - 1),
  };
}

function requireTransport(given: Given, role: Role | undefined): void {
  const needed = role === undefined ? "loopback" : "vsock";
  const name = given.get("transport") ?? needed;
  if (name === needed) return;
  const why = name === "loopback"
    ? "a loopback lives inside one process"
    : "its two ends are two processes";
  throw new UsageError(
    `Cannot use --transport: must be ${needed} ${
      role === undefined ? "without" : "with"
    } --mode: ` +
      `current value is ${name}${name === "loopback" || name === "vsock" ? `: ${why}` : ""}`,
  );
}

function parseIds(given: Given, name: string): ReadonlySet<number> | undefined {
  if (!given.has(name)) return undefined;
  return new Set(
    readMany(given, name, ",").map((id) => {
      if (/^\d+$/.test(id) && Number(id) < CASES.length) return Number(id);
      throw new UsageError(
        `Cannot use --${name}: must be an integer from 0 to ${CASES.length - 1}: ` +
          `current value is ${id === "" ? '""' : id}`,
      );
    }),
  );
}

function parseNumber(given: Given, name: string, max: number, otherwise?: number): number {
  const text = given.get(name) ?? otherwise?.toString();
  if (text === undefined) throw missing(name, String(given.get("mode")));
  if (typeof text === "string" && /^\d+$/.test(text) && Number(text) <= max) return Number(text);
  throw new UsageError(
    `Cannot use --${name}: must be an integer from 0 to ${max}: current value is ${text}`,
  );
}

function missing(name: string, mode: string): UsageError {
  return new UsageError(
    `Cannot use --mode ${mode}: must be with --${name}: current value is no --${name}`,
  );
}
