/**
 * Addresses as people write them.
 *
 * @module
 */
import {
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_HYPERVISOR,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY,
} from "../ffi/abi/vm_sockets.ts";
import {
  type Address,
  formatAddress,
  type HybridAddress,
  requireAddress,
  type TcpAddress,
  type UnixAddress,
  type VsockAddress,
} from "./address.ts";
import { requireType } from "./arguments.ts";
import { shown } from "./shown.ts";
import type { SocketType } from "./socket.ts";

/** What {@linkcode parseAddress} found. */
export interface ParsedAddress {
  /** The address. */
  readonly address: Address;
  /** `"seqpacket"` or `"stream"` where the text says so; left out otherwise. */
  readonly type?: SocketType | undefined;
}

/** A piece of the text, and where it starts: for errors. */
interface Piece {
  readonly text: string;
  /** From 0. */
  readonly at: number;
  /** All that is parsed. */
  readonly whole: string;
}

type Reader = (rest: Piece) => Address;

/** By what stands before the colon. */
const SCHEMES: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["vsock", readVsock],
  ["hvsock", readHybrid],
  ["tcp", readTcp],
  ["unix", readUnix],
]);

/** By what stands before the slash, as ssh(1) has it by systemd-ssh-proxy(1). */
const SSH_HOSTS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["vsock", (rest) => readVsock(withSshPort(rest, /:/))],
  ["vsock-mux", (rest) => readHybrid(withSshPort(absolute(rest), /:(\d+|any|-1)$/))],
]);

/** The names of CIDs, as systemd.socket(5) has them. */
const CIDS: ReadonlyMap<string, number> = new Map([
  ["", VMADDR_CID_ANY],
  ["any", VMADDR_CID_ANY],
  ["-1", VMADDR_CID_ANY],
  ["hypervisor", VMADDR_CID_HYPERVISOR],
  ["local", VMADDR_CID_LOCAL],
  ["host", VMADDR_CID_HOST],
]);

const PORTS: ReadonlyMap<string, number> = new Map([
  ["any", VMADDR_PORT_ANY],
  ["-1", VMADDR_PORT_ANY],
]);

const U32_MAX = 0xffff_ffff;
const U16_MAX = 0xffff;
const SSH_PORT = 22;

/**
 * Reads an address.
 *
 * | text | what it is |
 * | --- | --- |
 * | `vsock://2:1024`, `vsock:2:1024`, `2:1024` | a port of a CID |
 * | `vsock:host:1024`, `vsock::1024`, `any:any` | names of CIDs: any, hypervisor, local, host |
 * | `vsock-seqpacket:2:1024`, `vsock-stream:2:1024` | with the type, as systemd.socket(5) has it |
 * | `hvsock:///run/fc.sock:1024` | a port of a VM behind a path: Firecracker and others |
 * | `tcp://example.org:80`, `tcp:[::1]:80` | TCP |
 * | `unix:/run/app.sock`, `unix:@name` | AF_UNIX, the latter an abstract name |
 * | `vsock/3`, `vsock-mux/run/fc.sock` | hosts of ssh(1), port 22 unless there is another |
 *
 * `-1` and `any` are the CID and the port that leave the choice to bind(2). `?flags=1` behind an
 * address of AF_VSOCK is `VMADDR_FLAG_TO_HOST`.
 *
 * @throws {TypeError} If it is none of these; the message has the part that is wrong, and where.
 * @throws {RangeError} If a number in it is out of range.
 *
 * @example Connect to where a user says
 * ```ts
 * import { parseAddress } from "@vsockit/vsockit";
 *
 * const { address, type } = parseAddress("vsock-seqpacket:host:5000");
 * console.log(address, type); // { cid: 2, port: 5000 } seqpacket
 * ```
 */
export function parseAddress(text: string): ParsedAddress {
  if (typeof text !== "string") {
    throw new TypeError(`Cannot parse address: must be a string: current value is ${shown(text)}`);
  }
  const parsed = readText(text);
  requireAddress(parsed.address);
  return parsed;
}

function readText(text: string): ParsedAddress {
  const [head = "", name = "", separator] = /^([a-z][a-z-]*)(:\/\/|:|\/|%)/.exec(text) ?? [];
  const rest: Piece = { text: text.slice(head.length), at: head.length, whole: text };
  if (separator === "/" || separator === "%") {
    const read = SSH_HOSTS.get(name);
    if (read !== undefined) return { address: read(rest) };
  }
  const [scheme = "", type] = splitType({ text: name, at: 0, whole: text });
  const read = SCHEMES.get(scheme);
  if (read !== undefined && separator?.startsWith(":")) {
    const address = read(rest);
    return type === undefined ? { address } : { address, type };
  }
  const whole: Piece = { text, at: 0, whole: text };
  if (/^[a-z0-9-]*:[^/]*$/.test(text)) return { address: readVsock(whole) };
  throw wrong(whole, "address", "start with vsock:, hvsock:, tcp: or unix:, or be CID:PORT");
}

/** `vsock-seqpacket` is `vsock`, and the type. */
function splitType(name: Piece): [scheme: string, type?: SocketType] {
  const [, scheme, type] = /^(vsock|unix)-(stream|seqpacket|dgram)$/.exec(name.text) ?? [];
  if (scheme === undefined) return [name.text];
  if (type === "dgram") {
    const at = scheme.length + 1;
    const piece: Piece = { ...name, text: type, at };
    throw wrong(piece, "type", "be stream or seqpacket, as nothing here has datagrams");
  }
  return [scheme, type as SocketType];
}

/** `CID:PORT`, perhaps with `?flags=1`. */
function readVsock(rest: Piece): VsockAddress {
  const [body, query] = cut(rest, rest.text.indexOf("?"));
  const [cid, port] = splitPort(body, "CID:PORT");
  const address = { cid: readCid(cid), port: readPort(port, U32_MAX) };
  if (query === undefined) return address;
  if (!/^flags=[01]$/.test(query.text)) throw wrong(query, "what follows ?", "be flags=1");
  return { ...address, flags: Number(query.text.slice(-1)) };
}

/** `PATH:PORT`. */
function readHybrid(rest: Piece): HybridAddress {
  const [path, port] = splitPort(rest, "PATH:PORT");
  return { path: readPath(path), port: readPort(port, U32_MAX) };
}

/** `HOST:PORT`, or `[IPV6]:PORT`. */
function readTcp(rest: Piece): TcpAddress {
  const [host, port] = splitPort(rest, "HOST:PORT");
  const [, inner] = /^\[(.*)\]$/s.exec(host.text) ?? [];
  const hostname = inner ?? host.text;
  if (hostname === "" || /[\s/[\]*]/.test(hostname)) {
    throw wrong(host, "host", "be a name or an IP; 0.0.0.0 and [::] are any");
  }
  if (inner === undefined && hostname.includes(":")) {
    throw wrong(host, "IPv6 address", "stand in brackets");
  }
  return { hostname, port: readPort(port, U16_MAX) };
}

/** `PATH`. */
function readUnix(rest: Piece): UnixAddress {
  return { path: readPath(rest) };
}

/** A path, or behind `@` an abstract name. */
function readPath(piece: Piece): string {
  const { text } = piece;
  if (text.startsWith("@")) return `\0${text.slice(1)}`;
  if (text === "" || text.includes("\0")) throw wrong(piece, "path", "not be empty or have a NUL");
  return text;
}

function readCid(piece: Piece): number {
  const { text } = piece;
  const named = CIDS.get(text);
  if (named !== undefined) return named;
  const rule = `be a number up to ${U32_MAX}, or any, hypervisor, local or host`;
  const hint = isBareName(piece) ? `; over TCP it is tcp:${piece.whole}` : "";
  return readNumber(piece, "CID", rule + hint, U32_MAX);
}

/** Whether it may be the name of a machine, with nothing before it that says another family. */
function isBareName({ text, at }: Piece): boolean {
  return at === 0 && /^[a-z][a-z0-9-]*$/.test(text);
}

function readPort(piece: Piece, max: number): number {
  const named = max === U32_MAX ? PORTS.get(piece.text) : undefined;
  const rule = `be a number up to ${max}${max === U32_MAX ? ", or any" : ""}`;
  return named ?? readNumber(piece, "port", rule, max);
}

function readNumber(piece: Piece, name: string, rule: string, max: number): number {
  if (!/^\d+$/.test(piece.text)) throw wrong(piece, name, rule);
  const value = Number(piece.text);
  if (value > max) throw new RangeError(explain(piece, name, rule));
  return value;
}

/** What is before the last colon, and behind it. */
function splitPort(rest: Piece, shape: string): [Piece, Piece] {
  const [before, port] = cut(rest, rest.text.lastIndexOf(":"));
  if (port === undefined) throw wrong(rest, "address", `be ${shape}`);
  return [before, port];
}

/** What is before the character at `index`, and behind it; all, where `index` is -1. */
function cut({ text, at, whole }: Piece, index: number): [Piece, Piece | undefined] {
  if (index < 0) return [{ text, at, whole }, undefined];
  const behind = index + 1;
  const before: Piece = { text: text.slice(0, index), at, whole };
  return [before, { text: text.slice(behind), at: at + behind, whole }];
}

/** `rest` with a port, that of ssh unless it has one. */
function withSshPort(rest: Piece, port: RegExp): Piece {
  if (port.test(rest.text)) return rest;
  return { ...rest, text: `${rest.text}:${SSH_PORT}` };
}

/** A path is from the root, which the separator stands for, unless it starts with a dot. */
function absolute(rest: Piece): Piece {
  if (/^(\/|\.\/|$)/.test(rest.text)) return rest;
  return { ...rest, text: `/${rest.text}`, at: rest.at - 1 };
}

function wrong(piece: Piece, name: string, rule: string): TypeError {
  return new TypeError(explain(piece, name, rule));
}

function explain({ text, at, whole }: Piece, name: string, rule: string): string {
  return `Cannot parse address ${JSON.stringify(whole)}: ${name} at column ${at + 1} ` +
    `must ${rule}: current value is ${text === "" ? "nothing" : text}`;
}

/**
 * The text that {@linkcode parseAddress} reads as this address, and `type` where it is given.
 *
 * A relative path that starts with `@` gets `./` before it, since it would else be abstract.
 *
 * @throws {TypeError} If it is no address, or TCP or a VM behind a path with `"seqpacket"`, or
 * `type` is none.
 * @throws {RangeError} If a number in it is out of range.
 *
 * @example Write an address to a log
 * ```ts
 * import { stringifyAddress } from "@vsockit/vsockit";
 *
 * console.log(stringifyAddress({ cid: 2, port: 1024 })); // vsock://2:1024
 * console.log(stringifyAddress({ path: "/fc.sock", port: 1024 })); // hvsock:///fc.sock:1024
 * ```
 */
export function stringifyAddress(given: Address, type?: SocketType): string {
  const address = requireAddress(given);
  if (type !== undefined) requireType(type);
  if ("cid" in address) {
    const { flags = 0 } = address;
    const query = flags === 0 ? "" : `?flags=${flags}`;
    return `${schemeOf("vsock", type)}://${formatAddress(address)}${query}`;
  }
  if ("hostname" in address) return `${onlyStream("tcp", type)}://${formatAddress(address)}`;
  const scheme = "port" in address ? onlyStream("hvsock", type) : schemeOf("unix", type);
  return `${scheme}://${formatAddress(address)}`;
}

function schemeOf(family: string, type: SocketType | undefined): string {
  return type === undefined ? family : `${family}-${type}`;
}

function onlyStream(family: string, type: SocketType | undefined): string {
  if (type === undefined || type === "stream") return family;
  throw new TypeError(
    `Cannot use type: must be "stream" for ${family}: current value is ${shown(type)}`,
  );
}
