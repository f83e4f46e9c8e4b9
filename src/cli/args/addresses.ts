/**
 * Addresses on the command line.
 *
 * @module
 */
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import { encodeSockaddrUn } from "../../../ffi/abi/un.ts";
import type { Address } from "../../address.ts";
import { parseAddress, type ParsedAddress } from "../../address_text.ts";
import { portPath } from "../../hybrid/dialect.ts";
import { requireNoName } from "../../resolve.ts";
import type { SocketType } from "../../socket.ts";
import { UsageError, wrongValue } from "./values.ts";

/** The text of an address, with `any` for a CID that is any, as `parseAddress()` reads it, too. */
export function withAny(text: string): string {
  return text.replace(new RegExp(`^(vsock[a-z-]*://|)${VMADDR_CID_ANY}:`), "$1any:");
}

/** What an address is for. */
export type Use = "connect" | "listen";

/**
 * Reads `text` as an address for `use`; what is wrong with it comes behind `prefix`.
 *
 * @throws {UsageError} If it is no address, or one that no socket can have, on whatever machine.
 */
export function readAddress(use: Use, text: string, prefix = ""): ParsedAddress {
  try {
    const parsed = parseAddress(text);
    requireUsable(use, parsed.address);
    return parsed;
  } catch (error) {
    throw new UsageError(`${prefix}${error instanceof Error ? error.message : error}`);
  }
}

/** @throws {UsageError} If `address`, given as `text`, is of a family without that type. */
export function requireFamilyHas(
  what: string,
  text: string,
  address: Address,
  type: SocketType,
): void {
  const streamsOnly = "hostname" in address || "path" in address && "port" in address;
  if (type === "stream" || !streamsOnly) return;
  throw wrongValue(what, "be vsock or unix, which alone have messages", text);
}

function requireUsable(use: Use, address: Address): void {
  if ("path" in address) encodeSockaddrUn(pathFor(use, address));
  else if (use === "listen") requireNoName(address);
}

/** Where the socket is, which for a VM that dials is a path of its own for each port. */
export function pathFor(use: Use, address: Extract<Address, { readonly path: string }>): string {
  const { path } = address;
  return use === "listen" && "port" in address ? portPath(path, address.port) : path;
}
