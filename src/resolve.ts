/**
 * Names of machines as addresses.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Address, TcpAddress } from "./address.ts";
import { VsockError } from "./error.ts";

/** Whether `address` has a name in place of an IP address. */
export function hasName(address: Address): address is TcpAddress {
  return "hostname" in address && isIP(address.hostname) === 0;
}

/**
 * The addresses that the name in `address` stands for, by getaddrinfo(3), in the order to try them.
 *
 * @throws {VsockError} `EADDRNOTAVAIL` if it has none.
 */
export async function resolveName<A extends TcpAddress>(address: A): Promise<readonly A[]> {
  const { hostname } = address;
  try {
    const found = await lookup(hostname, { all: true });
    return found.map((one) => ({ ...address, hostname: one.address }));
  } catch (cause) {
    const hint = `the name ${hostname} has no address`;
    throw new VsockError("connect", "EADDRNOTAVAIL", { address, hint, cause });
  }
}
