/**
 * The flags of `vsockit test`, those of `vsock_test`, and what they come to.
 *
 * @module
 */
import { type Flag, flag } from "../args/flags.ts";
import {
  type Given,
  parseFlags,
  readInteger,
  readMany,
  readText,
  requireWith,
} from "../args/line.ts";
import { toInteger, type UsageError, wrongValue } from "../args/values.ts";
import type { Mode } from "./case.ts";
import { CASES } from "./cases.ts";

const [U16_MAX, U32_MAX] = [0xffff, 0xffff_ffff];

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  flag(
    "--mode client|server",
    "one end of the run; the peer is another process,\n" +
      "over AF_VSOCK. Without it both ends are in this one",
  ),
  flag(
    "--control-host HOST",
    "where the server listens on TCP, the client\nconnects to [the server's: 0.0.0.0]",
  ),
  flag("--control-port PORT", "its TCP port"),
  flag("--peer-cid CID", "CID of the other end"),
  flag("--peer-port PORT", "port that the tests use, and the next one [1234]"),
  flag("--list", "print ID and name of each test"),
  flag("--skip ID", "leave out this test; can be repeated", { many: true }),
  flag("--pick ID", "run this test only; can be repeated", { many: true }),
];

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
  return {
    list: given.has("list"),
    role: parseRole(given),
    peerPort: readInteger(given, "peer-port", 1234, 0, U32_MAX - 2),
    chosen: (id) => !skipped?.has(id) && (picked?.has(id) ?? true),
  };
}

function parseRole(given: Given): Role | undefined {
  const mode = readText(given, "mode") as Mode | undefined;
  if (mode === undefined) {
    for (const flag of ["control-host", "control-port", "peer-cid"]) {
      requireWith(given, flag, "mode");
    }
    return undefined;
  }
  const needed = (name: string): UsageError =>
    wrongValue(`--mode ${mode}`, `be with --${name}`, `no --${name}`);
  const integer = (name: string, max: number): number => {
    const value = readInteger(given, name, undefined, 0, max);
    if (value === undefined) throw needed(name);
    return value;
  };
  const controlHost = readText(given, "control-host") ?? (mode === "server" ? "0.0.0.0" : "");
  if (controlHost === "") throw needed("control-host");
  return {
    mode,
    controlHost,
    controlPort: integer("control-port", U16_MAX),
    peerCid: integer("peer-cid", U32_MAX - 1),
  };
}

function parseIds(given: Given, name: string): ReadonlySet<number> | undefined {
  if (!given.has(name)) return undefined;
  const ids = readMany(given, name, ",");
  return new Set(ids.map((id) => toInteger(`--${name}`, id, 0, CASES.length - 1)));
}
