/**
 * Names of machines as addresses.
 *
 * @module
 */
import { isNotCapable } from "../ffi/backend.ts";
import type { Address, TcpAddress } from "./address.ts";
import { dns, net } from "./runtime/builtins.ts";
import { VsockError } from "./error.ts";
import { orAborted } from "./wait/waiting.ts";

/**
 * 4 or 6 of an IP address, with its scope or without; 0 of a name. An interface may be `br_lan`.
 */
export function ipVersion(hostname: string): number {
  return net().isIP(hostname.replace(/(:[^%]*)%.+$/, "$1"));
}

/** Whether `address` has a name in place of an IP address. */
export function hasName(address: Address): address is TcpAddress {
  return "hostname" in address && ipVersion(address.hostname) === 0;
}

/**
 * To look up a name takes a while, which `connect()` has and `listen()` has not.
 *
 * @throws {RangeError} If `address` has a name.
 */
export function requireNoName(address: Address): void {
  if (!hasName(address)) return;
  throw new RangeError(
    "Cannot use hostname: must be an IP address, 127.0.0.1 or ::1 for this machine alone, " +
      `0.0.0.0 or :: for all: current value is ${address.hostname}`,
  );
}

/**
 * The IP addresses that the name in `address` stands for, by getaddrinfo(3), in the order to try
 * them.
 *
 * `signal` ends the wait by rejecting with its reason; `family` is 4 or 6, or 0 for both.
 *
 * @throws {VsockError} `EADDRNOTAVAIL` if it has none.
 */
export async function resolveName(
  address: TcpAddress,
  signal?: AbortSignal,
  family: number = 0,
): Promise<readonly string[]> {
  const { hostname } = address;
  try {
    const found = await orAborted(dns().lookup(hostname, { all: true, family }), signal);
    return found.map((one) => one.address);
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    const hint = explain(cause, hostname, family);
    throw new VsockError("connect", "EADDRNOTAVAIL", { address, hint, cause });
  }
}

function explain(cause: unknown, hostname: string, family: number): string {
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  // EPERM is what `node:dns` of Deno makes of a permission that it lacks.
  if (isNotCapable(cause) || code === "EPERM") {
    return `to look up a name takes --allow-net${"Deno" in globalThis ? `=${hostname}` : ""}`;
  }
  if (code === "EAI_AGAIN") return `no name server answers for ${hostname}: that may pass`;
  return `the name ${hostname} has no address${family === 0 ? "" : ` of IPv${family}`}`;
}
