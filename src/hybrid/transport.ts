/**
 * The ports of a VM whose VMM puts them behind Unix sockets, as a transport.
 *
 * @module
 */
import { VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { type Address, type HybridAddress, requirePath, type UnixAddress } from "../address.ts";
import { requireInteger, requireNumber, requireObject, requireU32 } from "../arguments.ts";
import { UNIX } from "../kernel/family_unix.ts";
import { openKernelSocket } from "../kernel/open.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import { shown } from "../shown.ts";
import type { SocketType } from "../socket.ts";
import type { Capabilities, SocketMaker, Transport } from "../transport.ts";
import { TIMER_MAX_MS } from "../wait/waiting.ts";
import { type DialectName, DIALECTS } from "./dialect.ts";
import { BY_PATH, byCid } from "./names.ts";
import { type Host, HybridSocket } from "./socket.ts";

/** For {@linkcode openHybrid}. */
export interface HybridOptions {
  /**
   * What the VMM speaks: `"firecracker"`, as Cloud Hypervisor and vhost-device-vsock do too;
   * `"hyperkit"`, of which `path` is the folder; `"libkrun"`, which has a socket for each port: the
   * port stands where `path` has `{port}`, else behind it as `_PORT`. @default {"firecracker"}
   */
  readonly dialect?: DialectName | undefined;
  /** The CID that the VM goes by: an address with another one is not reached. @default {3} */
  readonly cid?: number | undefined;
  /** Whether the VMM answers `OK`: Firecracker before 0.20 does not. @default {true} */
  readonly ack?: boolean | undefined;
  /** Who may connect to a listener of the host, as chmod(2) has it. @default {0o600} */
  readonly mode?: number | undefined;
  /**
   * Milliseconds that a connect waits for the answer, unless it is told otherwise. A VMM gives up
   * after 2000. @default {5000}
   */
  readonly timeoutMs?: number | undefined;
}

/** What sockets over AF_UNIX can do, those of either side. */
export const HYBRID_CAPABILITIES: Capabilities = { seqpacket: false, mapRx: false, waitSync: true };

const DEFAULT_CID = 3;
const DEFAULT_MODE = 0o600;
const DEFAULT_TIMEOUT_MS = 5_000;

/**
 * The host's side of the VM whose VMM listens on `path`: Firecracker's `uds_path`, and alike. There
 * is nothing to close.
 *
 * Its sockets take `{ cid, port }` as AF_VSOCK does, and carry STREAM alone. connect() says
 * `CONNECT port` to the VMM and is through when that says `OK`. listen() makes a Unix socket at
 * `path_PORT`, to which the VMM connects when the VM connects to that port of CID 2: a dead one
 * that is there gives way, and it goes with the listener (Deno wants `--allow-read` and
 * `--allow-write` for that). From which port of the VM a connection comes is not told: that is
 * 4294967295.
 *
 * An address `{ path, port }` needs no transport: `connect()` and `listen()` know it by its
 * members.
 *
 * @throws {TypeError} If `path` is no string, or the dialect none of these.
 * @throws {RangeError} If a number is out of range.
 *
 * @example The same program over AF_VSOCK and beside Firecracker
 * ```ts ignore
 * import { connect, openHybrid } from "@vsockit/vsockit";
 *
 * const transport = openHybrid("/run/fc.sock");
 * using conn = await connect({ cid: 3, port: 1024 }, { transport });
 * await conn.write(new TextEncoder().encode("hello\n"));
 * ```
 */
export function openHybrid(path: string, options: HybridOptions = {}): Transport {
  requireObject("options", options);
  const { cid = DEFAULT_CID } = options;
  requirePath("path", path);
  requireU32("cid", cid);
  const maker = makerOf({ ...hostOf(options), names: byCid(path, cid) });
  return { ...maker, localCid: VMADDR_CID_HOST };
}

/** Makes the sockets for addresses with a path and a port. */
export const hybridByPath: SocketMaker<HybridAddress> = makerOf({ ...hostOf({}), names: BY_PATH });

function hostOf(options: HybridOptions): Omit<Host<Address>, "names"> {
  const { dialect: name = "firecracker", ack, mode = DEFAULT_MODE } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (!Object.hasOwn(DIALECTS, name)) {
    throw new TypeError(
      'Cannot use dialect: must be "firecracker", "hyperkit" or "libkrun": ' +
        `current value is ${shown(name)}`,
    );
  }
  requireInteger("mode", mode, 0, 0o777);
  requireNumber("timeoutMs", timeoutMs);
  if (!(timeoutMs > 0 && timeoutMs <= TIMER_MAX_MS)) {
    throw new RangeError(
      `Cannot use timeoutMs: must be above 0, up to ${TIMER_MAX_MS}: current value is ${timeoutMs}`,
    );
  }
  const dialect = DIALECTS[name];
  const acks = dialect.acks && ack !== false;
  return { dialect: { ...dialect, acks }, mode, timeoutMs };
}

function makerOf<A extends Address>(host: Host<A>): SocketMaker<A> {
  return {
    name: "hybrid",
    capabilities: HYBRID_CAPABILITIES,
    socket: (type) => new HybridSocket(openStream(type), host),
  };
}

/** socket(2) of AF_UNIX; nothing of a VMM carries messages. */
export function openStream(type: SocketType): KernelSocket<UnixAddress> {
  if (type !== "stream") throw new SysError("socket", "ESOCKTNOSUPPORT");
  return openKernelSocket(UNIX, type);
}
