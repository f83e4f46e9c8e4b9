/**
 * Whether the kernel has a way to an address.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import { VsockError } from "../../error.ts";
import { whyNotConnect, whyNotListen } from "../../kernel/reach.ts";
import type { Use } from "../args/addresses.ts";

/**
 * Fails where the kernel does not reach an address of AF_VSOCK: the loopback of this process, which
 * would stand in for CID 1, is of no use to others.
 *
 * @throws {VsockError} `ENODEV`; its hint says which module to load.
 */
export function requireReach(op: Use, address: Address): void {
  if (!("cid" in address)) return;
  const why = op === "connect" ? whyNotConnect(address) : whyNotListen(address);
  if (why === undefined) return;
  throw new VsockError(op, "ENODEV", { address, hint: `CID ${address.cid}: ${why}` });
}
