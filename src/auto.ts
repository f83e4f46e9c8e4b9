/**
 * Which transport a connect or listen uses.
 *
 * @module
 */
import { VMADDR_CID_LOCAL } from "../ffi/abi/vm_sockets.ts";
import {
  type Address,
  formatAddress,
  type HybridAddress,
  type TcpAddress,
  type UnixAddress,
  type VsockAddress,
} from "./address.ts";
import { attempt, isVsockError, type Op, VsockError } from "./error.ts";
import { hybridByPath } from "./hybrid/transport.ts";
import { openTcp, openUnix } from "./kernel/tcp_unix.ts";
import { whyNotConnect, whyNotListen } from "./kernel/reach.ts";
import { openVsock } from "./kernel/transport.ts";
import { createLoopback } from "./loopback/transport.ts";
import { requireNoName } from "./resolve.ts";
import { shown } from "./shown.ts";
import type { SocketMaker, Transport, TransportChoice } from "./transport.ts";

/** A transport that this library has, and what it is for. */
export interface Candidate {
  /**
   * Why it has no way to listen on `address`, or to connect there; `undefined` where it has one.
   * Found out by looking, never by connecting.
   */
  whyNot(op: Op, address: VsockAddress): string | undefined;
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
  {
    whyNot: (op, address) => op === "listen" ? whyNotListen(address) : whyNotConnect(address),
    open: openVsock,
  },
  {
    whyNot: (_, { cid }) =>
      cid === VMADDR_CID_LOCAL ? undefined : "the loopback within this process is CID 1 alone",
    open: sharedLoopback,
  },
];

/**
 * The transport that `choice` means for `address`; a name of a machine in that has been looked up.
 *
 * @throws {TypeError} If `choice` is neither a name nor a transport, or not for such an address.
 * @throws {RangeError} If `hostname` is a name and no IP address.
 * @throws {VsockError} `ENODEV` if no transport of this library reaches the CID; the hint says why.
 */
export function selectTransport<A extends Address>(
  choice: TransportChoice<A>,
  op: Op,
  address: A,
  candidates: readonly Candidate[] = CANDIDATES,
): SocketMaker<A> {
  if (typeof choice === "object" && choice !== null && typeof choice.socket === "function") {
    // A maker of VM sockets would look for a CID in vain.
    if ("localCid" in choice && !("cid" in address)) throw unfit(choice.name, address);
    return choice;
  }
  const maker: SocketMaker = makerByName(choice as string, op, address, candidates);
  return maker as SocketMaker<A>;
}

const LOADED_SINCE = "vsock_loopback was not there yet";

/**
 * `error` of a connect by `maker`. Where that is the loopback of this process, which `"auto"` takes
 * for want of the kernel's, a refusal says so: somebody may well listen in another process.
 */
export function explainRefusal(error: unknown, maker: unknown, address: Address): unknown {
  if (!isVsockError(error, "ECONNRESET") || maker !== shared || !("cid" in address)) return error;
  const why = whyNotConnect(address) ?? LOADED_SINCE;
  const hint = "nobody in this process listens on this port, or its queue is full; " +
    `other processes are out of reach: ${why}`;
  return new VsockError(error.op, "ECONNRESET", { address, hint, cause: error.cause });
}

type SomeMaker =
  | SocketMaker<VsockAddress>
  | SocketMaker<TcpAddress>
  | SocketMaker<UnixAddress>
  | SocketMaker<HybridAddress>;

function makerByName(
  name: string,
  op: Op,
  address: Address,
  candidates: readonly Candidate[],
): SomeMaker {
  if ("hostname" in address) {
    requireNoName(address);
    if (name === "auto" || name === "tcp") return openTcp(address.hostname);
  } else if ("path" in address && "port" in address) {
    if (name === "auto" || name === "hybrid") return hybridByPath;
  } else if ("path" in address) {
    if (name === "auto" || name === "unix") return openUnix();
  } else if (name === "loopback") return sharedLoopback();
  else if (name === "vsock") return openVsock();
  else if (name === "auto") return firstOf(candidates, op, address);
  throw unfit(name, address);
}

function unfit(name: string, address: Address): TypeError {
  return new TypeError(
    `Cannot use transport: must be "auto", or one for ${formatAddress(address)}, ` +
      `or an object that makes such sockets: current value is ${shown(name)}`,
  );
}

function firstOf(candidates: readonly Candidate[], op: Op, address: VsockAddress): Transport {
  const reasons: string[] = [];
  for (const candidate of candidates) {
    const why = attempt("socket", address, () => candidate.whyNot(op, address));
    if (why === undefined) return candidate.open();
    reasons.push(why);
  }
  const hint = `CID ${address.cid}: ${reasons.join("; ")}`;
  throw new VsockError(op, "ENODEV", { address, hint });
}
