/**
 * What the command line of `vsockit proxy` comes to.
 *
 * @module
 */
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { Address } from "../../address.ts";
import type { ParsedAddress } from "../../address_text.ts";
import type { SocketType } from "../../socket.ts";
import { TIMER_MAX_MS } from "../../wait/waiting.ts";
import { readAddress, requireFamilyHas } from "../args/addresses.ts";
import { descriptorLimit } from "../environment.ts";
import { type Flag, flag } from "../args/flags.ts";
import { type Given, parseLine, readInteger, readMany } from "../args/line.ts";
import { UsageError, wrongValue } from "../args/values.ts";
import { isUnspecified, leadsBack } from "./leads_back.ts";
import { parsePattern, type Pattern } from "./pattern.ts";

/** What to proxy, and how. */
export interface ProxyOptions {
  readonly listen: Address;
  /** Where to connect to. */
  readonly target: Address;
  /** What both ends carry: bytes or messages. */
  readonly type: SocketType;
  /** Who may connect. */
  readonly allows: Pattern;
  /** Where connections may go. */
  readonly allowsTarget: Pattern;
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  flag("-a, --allow PEER", "who may connect, again for each [everybody who can]", { many: true }),
  flag(
    "--allow-target TARGET",
    "where connections may go, once names are\naddresses, again for each [everywhere]",
    { many: true },
  ),
  flag("--open", "listen on any CID or IP without --allow"),
  flag(
    "-n, --max-connections N",
    "served at a time; others wait [512, or less\nwhere there are not descriptors for so many]",
  ),
  flag("--connect-timeout MS", "for the target to answer [5000]"),
  flag("--drain-timeout MS", "for connections to end after SIGTERM [30000]"),
  flag("--json", "log each event as a line of JSON on stdout"),
  flag("-v, --verbose", "log connections that open and close well"),
];

const [CONNECTIONS, CONNECTIONS_MAX] = [512, 1_000_000];
/** Descriptors that no connection can have: for the runtime, its files, and looking up names. */
const KEPT = 64;
/** Before one more pattern; any other comma is part of a path. */
const PATTERN_COMMA = /,(?=(?:vsock|tcp|unix|hvsock):)/;

/**
 * Reads the command line.
 *
 * @throws {UsageError} If it cannot be obeyed, or would open the proxy to everybody by accident.
 */
export function parseOptions(args: readonly string[]): ProxyOptions {
  const { given, operands } = parseLine(FLAGS, args);
  const ends = readEnds(operands);
  if (isOpen(ends.listen) && !given.has("allow") && !given.has("open")) {
    throw new UsageError(
      `Cannot listen on ${operands[0]}: must have --allow PEER, or --open for everybody who can ` +
        "reach this machine: current value is neither",
    );
  }
  const most = fittingIn(descriptorLimit());
  return {
    ...ends,
    allows: patternOf(given, "allow"),
    allowsTarget: patternOf(given, "allow-target"),
    maxConnections: readInteger(given, "max-connections", most, 1, CONNECTIONS_MAX),
    connectTimeoutMs: readInteger(given, "connect-timeout", 5_000, 1, TIMER_MAX_MS),
    drainTimeoutMs: readInteger(given, "drain-timeout", 30_000, 0, TIMER_MAX_MS),
    json: given.has("json"),
    verbose: given.has("verbose"),
  };
}

/** LISTEN and TARGET, and the type that both have. */
function readEnds(operands: readonly string[]): Pick<ProxyOptions, "listen" | "target" | "type"> {
  const [listenText, targetText, more] = operands;
  if (listenText === undefined || targetText === undefined || more !== undefined) {
    throw new UsageError(
      `Cannot proxy: must have a LISTEN and a TARGET address: current value is ` +
        `${operands.length === 0 ? "nothing" : operands.join(" ")}`,
    );
  }
  const listen = readAddress("listen", listenText, "Cannot use LISTEN: ");
  const target = readAddress("connect", targetText, "Cannot use TARGET: ");
  const type = commonType(listen, target);
  requireFamilyHas("LISTEN", listenText, listen.address, type);
  requireFamilyHas("TARGET", targetText, target.address, type);
  if (leadsBack(listen.address, target.address)) {
    throw wrongValue(
      "TARGET",
      "be another address than LISTEN, or each connection makes one more",
      targetText,
    );
  }
  return { listen: listen.address, target: target.address, type };
}

/** How many connections fit in so many descriptors: who is served has two, who waits none. */
export function fittingIn(limit: number): number {
  return Math.max(1, Math.min(Math.floor((limit - KEPT) / 2), CONNECTIONS));
}

/** Both ends carry bytes, or both carry messages: one that does not say is like the other. */
function commonType(listen: ParsedAddress, target: ParsedAddress): SocketType {
  const type = listen.type ?? target.type ?? "stream";
  if ((target.type ?? type) === type) return type;
  throw wrongValue("TARGET", `be of type ${type} like LISTEN`, target.type);
}

/** Whether everybody who reaches this machine reaches `address`. */
function isOpen(address: Address): boolean {
  if ("hostname" in address) return isUnspecified(address.hostname);
  return "cid" in address && address.cid === VMADDR_CID_ANY;
}

function patternOf(given: Given, flag: string): Pattern {
  if (!given.has(flag)) return () => true;
  const texts = readMany(given, flag, PATTERN_COMMA);
  const patterns = texts.map((text) => parsePattern(`--${flag}`, text));
  return (address) => patterns.some((matches) => matches(address));
}
