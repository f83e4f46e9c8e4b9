/**
 * Which transport a connect or listen uses.
 *
 * @module
 */
import { VMADDR_CID_LOCAL } from "../ffi/abi/vm_sockets.ts";
import type { VsockAddress } from "./address.ts";
import { type Op, VsockError } from "./error.ts";
import { createLoopback } from "./loopback/mod.ts";
import type { Transport, TransportChoice } from "./transport.ts";

/** A transport that this library has, and what it is for. */
interface Candidate {
  /** Whether it reaches a machine with this CID, found out by looking, never by connecting. */
  reaches(cid: number): boolean;
  /** The transport; the process has one. */
  open(): Transport;
}

let shared: Transport | undefined;

/** The loopback that all of this process share. */
function sharedLoopback(): Transport {
  return shared ??= createLoopback();
}

/** What `"auto"` asks, in this order. */
const CANDIDATES: readonly Candidate[] = [
  { reaches: (cid) => cid === VMADDR_CID_LOCAL, open: sharedLoopback },
];

/**
 * The transport that `choice` means for `address`.
 *
 * @throws {TypeError} If `choice` is neither a name nor a transport.
 * @throws {VsockError} `ENODEV` if no transport of this library reaches the CID.
 */
export function selectTransport(choice: TransportChoice, op: Op, address: VsockAddress): Transport {
  if (typeof choice === "object" && choice !== null && typeof choice.socket === "function") {
    return choice;
  }
  if (choice === "loopback") return sharedLoopback();
  if (choice !== "auto") {
    throw new TypeError(
      `Cannot use transport: must be "auto", "loopback" or a transport: ` +
        `current value is ${choice}`,
    );
  }
  const candidate = CANDIDATES.find((candidate) => candidate.reaches(address.cid));
  if (candidate !== undefined) return candidate.open();
  const hint = `no transport here reaches CID ${address.cid}: the loopback within this process ` +
    `has CID ${VMADDR_CID_LOCAL} alone`;
  throw new VsockError(op, "ENODEV", { address, hint });
}
