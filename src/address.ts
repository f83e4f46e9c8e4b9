/**
 * Addresses of sockets, by family: AF_VSOCK, TCP over AF_INET and AF_INET6, AF_UNIX, and ports of a
 * VM behind a path of AF_UNIX.
 *
 * @module
 */
import { VMADDR_FLAG_TO_HOST } from "../ffi/abi/vm_sockets.ts";
import { requireInteger, requireObject, requireU32 } from "./arguments.ts";
import { shown } from "./shown.ts";

/**
 * Where a VM socket is: a context ID (the machine) and a port, as `struct sockaddr_vm` has them.
 */
export interface VsockAddress {
  /**
   * The family, as Deno's addresses name it; the other members tell it anyway.
   * @default {"vsock"}
   */
  readonly transport?: "vsock" | undefined;
  /** Context ID, unsigned 32-bit: 1 is this machine, 2 the host, 4294967295 any (bind only). */
  readonly cid: number;
  /** Port, unsigned 32-bit, host byte order; 4294967295 lets bind choose. */
  readonly port: number;
  /** `svm_flags`; `VMADDR_FLAG_TO_HOST` (1) is the only legal one. @default {0} */
  readonly flags?: number | undefined;
}

/** Where a TCP socket is. */
export interface TcpAddress {
  /** The family, as Deno's addresses name it; the other members tell it anyway. @default {"tcp"} */
  readonly transport?: "tcp" | undefined;
  /** An IPv4 or IPv6 address, the latter without brackets; `connect()` takes a name too. */
  readonly hostname: string;
  /** Port, 0 to 65535; 0 lets bind choose. */
  readonly port: number;
}

/** Where a Unix domain socket is. */
export interface UnixAddress {
  /**
   * The family, as Deno's addresses name it; the other members tell it anyway.
   * @default {"unix"}
   */
  readonly transport?: "unix" | undefined;
  /** Path in the file system, or an abstract name behind `"\0"`: 107 bytes of UTF-8 at most. */
  readonly path: string;
}

/** Where a port of a VM is whose VMM has a Unix socket for the host: Firecracker and others. */
export interface HybridAddress {
  /**
   * The family, as Deno's addresses name it; the other members tell it anyway.
   * @default {"hybrid"}
   */
  readonly transport?: "hybrid" | undefined;
  /** The path that the VMM listens on, its `uds_path`; what a guest dials is `path_PORT`. */
  readonly path: string;
  /** Port, unsigned 32-bit; 4294967295 lets bind choose. */
  readonly port: number;
}

/** Where a socket is; its members tell the family. */
export type Address = VsockAddress | TcpAddress | UnixAddress | HybridAddress;

/**
 * An {@linkcode Address} that has members of one family alone: TypeScript refuses
 * `{ cid: 2, port: 80, path: "/run/fc.sock" }`, as `connect()` and `listen()` do.
 */
export type UnmixedAddress =
  | (VsockAddress & Partial<Record<"hostname" | "path", undefined>>)
  | (TcpAddress & Partial<Record<"cid" | "path", undefined>>)
  | (UnixAddress & Partial<Record<"cid" | "hostname" | "port", undefined>>)
  | (HybridAddress & Partial<Record<"cid" | "hostname", undefined>>);

/** A {@linkcode VsockAddress} as a connection or a listener shows it; Deno's `VsockAddr`. */
export interface VsockAddr {
  /** Always `"vsock"`. */
  readonly transport: "vsock";
  /** Context ID, unsigned 32-bit; 4294967295 for any. */
  readonly cid: number;
  /** Port, unsigned 32-bit. */
  readonly port: number;
}

/** A {@linkcode TcpAddress} as a connection or a listener shows it; Deno's `NetAddr`. */
export interface TcpAddr {
  /** Always `"tcp"`. */
  readonly transport: "tcp";
  /** IPv4 or IPv6 address. */
  readonly hostname: string;
  /** Port. */
  readonly port: number;
}

/** A {@linkcode UnixAddress} as a connection or a listener shows it; Deno's `UnixAddr`. */
export interface UnixAddr {
  /** Always `"unix"`. */
  readonly transport: "unix";
  /** Path, or an abstract name behind `"\0"`; empty for a socket without a name. */
  readonly path: string;
}

/** A {@linkcode HybridAddress} as a connection or a listener shows it. */
export interface HybridAddr {
  /** Always `"hybrid"`. */
  readonly transport: "hybrid";
  /** The path that the VMM listens on. */
  readonly path: string;
  /** Port; 4294967295 for one that the VMM does not tell. */
  readonly port: number;
}

/** What a connection or a listener shows of an address of the family `A`. */
export type Addr<A extends Address = Address> = A extends VsockAddress ? VsockAddr
  : A extends TcpAddress ? TcpAddr
  : A extends HybridAddress ? HybridAddr
  : UnixAddr;

const U16_MAX = 0xffff;

/** Throws a `TypeError` or `RangeError` unless `address` can stand in a `sockaddr_vm`. */
function requireVsockAddress(address: VsockAddress): void {
  if (address.cid === undefined) {
    throw new TypeError(
      "Cannot use address: must have a cid, a hostname or a path: current value has " +
        (Object.keys(address).join(", ") || "nothing"),
    );
  }
  requireU32("cid", address.cid);
  requireU32("port", address.port);
  const { flags = 0 } = address;
  requireInteger("flags", flags, 0, VMADDR_FLAG_TO_HOST);
}

/** The members by which the families differ; `path` stands with a `port` or without. */
const FAMILY_MEMBERS: readonly string[] = ["cid", "hostname", "path"];

function requireOneFamily(address: Address): void {
  const found = FAMILY_MEMBERS.filter((name) => name in address);
  if (found.length <= 1) return;
  throw new TypeError(
    "Cannot use address: must have one of cid, hostname and path: " +
      `current value has ${found.join(", ")}`,
  );
}

/** `address` without those of `FAMILY_MEMBERS` that are there and `undefined`. */
function withoutUndefined<A extends Address>(address: A): A {
  const members = Object.entries(address);
  const kept = members.filter(([name, value]) =>
    value !== undefined || !FAMILY_MEMBERS.includes(name)
  );
  return kept.length === members.length ? address : Object.fromEntries(kept) as unknown as A;
}

/**
 * `given`, checked. Of `cid`, `hostname` and `path` it has one, so that `"cid" in address` tells
 * the family: what was `undefined` is left out.
 *
 * @throws {TypeError | RangeError} Unless it can stand in a `sockaddr` of its family.
 */
export function requireAddress<A extends Address>(given: A): A {
  requireObject("address", given);
  const address = withoutUndefined<Address>(given);
  requireOneFamily(address);
  const { transport: family } = addrOf(address);
  const { transport = family } = address;
  if (transport !== family) {
    throw new TypeError(
      `Cannot use transport: must be "${family}", as the address is: ` +
        `current value is ${shown(transport)}`,
    );
  }
  if ("hostname" in address) {
    requireHostname(address.hostname);
    requireInteger("port", address.port, 0, U16_MAX);
  } else if ("path" in address) {
    requirePath("path", address.path);
    if ("port" in address) requireU32("port", address.port);
  } else {
    requireVsockAddress(address);
  }
  return address as A;
}

function requireString(name: string, value: string): void {
  if (typeof value !== "string" || value === "") {
    throw new TypeError(
      `Cannot use ${name}: must be a string of some length: current value is ${shown(value)}`,
    );
  }
}

/** What neither a name nor an IP address has; `URL.hostname` has one of IPv6 in brackets. */
const NO_HOSTNAME = /[\s\0/[\]*]/;

function requireHostname(hostname: string): void {
  requireString("hostname", hostname);
  if (!NO_HOSTNAME.test(hostname)) return;
  throw new RangeError(
    "Cannot use hostname: must be a name or an IP address, without brackets; 0.0.0.0 and :: are " +
      `any: current value is ${shown(hostname)}`,
  );
}

/**
 * Throws a TypeError or RangeError unless `path` can be that of AF_UNIX. A NUL within would end the
 * name for the kernel, and not for whoever has checked it.
 */
export function requirePath(name: string, path: string): void {
  requireString(name, path);
  if (path.startsWith("\0") || !path.includes("\0")) return;
  throw new RangeError(
    `Cannot use ${name}: must have no NUL but at the start: current value is ${shown(path)}`,
  );
}

/** Whether it is a port of a VM, by CID or behind a path; sockets have options of AF_VSOCK then. */
export function isVmPort(address: Address): boolean {
  return "cid" in address || ("path" in address && "port" in address);
}

/** The public form of a socket's address. */
export function toAddr<A extends Address>(address: A): Addr<A> {
  return addrOf(address) as Addr<A>;
}

function addrOf(address: Address): Addr {
  if ("hostname" in address) {
    return { transport: "tcp", hostname: address.hostname, port: address.port };
  }
  if ("path" in address) {
    const { path } = address;
    if ("port" in address) return { transport: "hybrid", path, port: address.port };
    return { transport: "unix", path };
  }
  return { transport: "vsock", cid: address.cid, port: address.port };
}

/**
 * `cid:port`, `host:port`, the path or `path:port`, as messages and logs print an address. An
 * abstract name begins with `@`, and a path that does so with `./@`.
 */
export function formatAddress(address: Address): string {
  if ("path" in address) {
    const path = address.path.replace(/^@/, "./@").replace(/^\0/, "@");
    return "port" in address ? `${path}:${address.port}` : path;
  }
  if ("cid" in address) return `${address.cid}:${address.port}`;
  const { hostname, port } = address;
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
