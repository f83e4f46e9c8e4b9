/**
 * What the command line of `vsockit device` comes to.
 *
 * @module
 */
import { type Flag, flag } from "../args/flags.ts";
import { type Given, parseFlags, readInteger, readMany, readText } from "../args/line.ts";
import { UsageError, wrongValue } from "../args/values.ts";

/** One guest of the device. */
export interface GuestChoice {
  readonly cid: number;
  /** Where its VMM connects to. */
  readonly socketPath: string;
  /** Where other processes reach it, as Firecracker's. */
  readonly udsPath?: string | undefined;
}

/** What to be the device of, and how. */
export interface DeviceOptions {
  /** At least one. */
  readonly guests: readonly [GuestChoice, ...GuestChoice[]];
  /** Whether they may talk to each other. */
  readonly siblings: boolean;
  /** The file for all packets. */
  readonly pcap?: string | undefined;
  readonly json: boolean;
}

/** The flags, in the order of `--help`. */
export const FLAGS: readonly Flag[] = [
  flag("-s, --socket PATH", "where the VMM connects to"),
  flag("-c, --guest-cid CID", "CID of the guest, from 3 on"),
  flag("-u, --uds-path PATH", "where other processes reach the guest"),
  flag("-g, --guest CID:SOCKET[:UDS]", "one more guest, again for each", { many: true }),
  flag("--siblings", "let guests connect to each other"),
  flag("--pcap FILE", "record all packets, for Wireshark"),
  flag("--json", "log each event as a line of JSON on stdout"),
];

const [CID_MIN, CID_MAX] = [3, 0xffff_fffe];
/** Bytes of a path that a socket can have. */
const PATH_MAX = 107;
/** Bytes behind `--uds-path` for a port of the host. */
const PORT_MAX = "_4294967295".length;

/**
 * Reads the command line.
 *
 * @throws {UsageError} If it cannot be obeyed.
 */
export function parseOptions(args: readonly string[]): DeviceOptions {
  const given = parseFlags(FLAGS, args);
  const cid = readInteger(given, "guest-cid", undefined, CID_MIN, CID_MAX);
  const socketPath = readPath(given, "socket", PATH_MAX);
  if (cid === undefined || socketPath === undefined) {
    const missing = cid === undefined ? "--guest-cid CID" : "--socket PATH";
    throw new UsageError(`Cannot be a device: must have ${missing}: current value is nothing`);
  }
  const first = { cid, socketPath, udsPath: readPath(given, "uds-path", PATH_MAX - PORT_MAX) };
  const more = readMany(given, "guest", ",").map(readGuest);
  const guests = [first, ...more] as const;
  guests.forEach((guest, index) => requireNew(guest, guests.slice(0, index)));
  const pcap = readPath(given, "pcap", Infinity);
  if (pcap !== undefined && guests.flatMap(pathsOf).includes(pcap)) {
    throw wrongValue("--pcap", "be another path than that of a socket", pcap);
  }
  return {
    guests,
    siblings: given.has("siblings"),
    pcap,
    json: given.has("json"),
  };
}

function readPath(given: Given, flag: string, max: number): string | undefined {
  const path = readText(given, flag);
  return path === undefined ? undefined : requirePath(path, flag, max);
}

function requirePath(path: string, flag: string, max: number): string {
  const { length } = new TextEncoder().encode(path);
  if (length > 0 && length <= max) return path;
  const most = max === Infinity ? "" : ` of at most ${max} bytes`;
  throw wrongValue(`--${flag}`, `be a path${most}`, path);
}

function readGuest(text: string): GuestChoice {
  const [, digits, socketPath, udsPath] = /^(\d{1,10}):([^:]+)(?::([^:]+))?$/s.exec(text) ?? [];
  const cid = Number(digits);
  if (socketPath === undefined || !(cid >= CID_MIN && cid <= CID_MAX)) {
    const rule = `be CID:SOCKET or CID:SOCKET:UDS, with a CID from ${CID_MIN} to ${CID_MAX} and ` +
      "paths without : and , in them";
    throw wrongValue("--guest", rule, text);
  }
  requirePath(socketPath, "guest", PATH_MAX);
  if (udsPath !== undefined) requirePath(udsPath, "guest", PATH_MAX - PORT_MAX);
  return { cid, socketPath, udsPath };
}

/** No two guests have the same CID, and no two sockets the same path. */
function requireNew(guest: GuestChoice, others: readonly GuestChoice[]): void {
  if (others.some(({ cid }) => cid === guest.cid)) {
    throw wrongValue("--guest", "have a CID of its own", guest.cid);
  }
  const taken = new Set(others.flatMap(pathsOf));
  for (const path of pathsOf(guest)) {
    if (taken.has(path)) throw wrongValue("a path", "be one socket's alone", path);
    taken.add(path);
  }
}

function pathsOf({ socketPath, udsPath }: GuestChoice): string[] {
  return udsPath === undefined ? [socketPath] : [socketPath, udsPath];
}
