/**
 * A stand-in for a VMM with a hybrid vsock, to test programs of the host and of the guest without
 * a VM.
 *
 * @module
 */
import { VMADDR_CID_HOST } from "../../ffi/abi/vm_sockets.ts";
import { requirePath, type UnixAddress } from "../address.ts";
import { requireObject, requireU32 } from "../arguments.ts";
import { attempt } from "../error.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import type { Transport } from "../transport.ts";
import { portPath } from "./dialect.ts";
import { answerOf, type HybridFaults, requireFaults, sendAnswer } from "./faults.ts";
import { GuestSocket, type Machine } from "./guest_socket.ts";
import { HYBRID_CAPABILITIES, openStream } from "./transport.ts";
import { VmmPath } from "./vmm_path.ts";

export type { HybridFaults } from "./faults.ts";

/** For {@linkcode createVmm}. */
export interface VmmOptions {
  /** The CID of the guest. @default {3} */
  readonly cid?: number | undefined;
  /** What goes wrong between host and guest. @default {nothing} */
  readonly faults?: HybridFaults | undefined;
}

/** A stand-in for a VMM; see {@linkcode createVmm}. */
export interface Vmm extends Disposable {
  /** Where it listens. */
  readonly path: string;
  /** Makes the sockets of the guest. */
  readonly guest: Transport;
  /** Ends it and unlinks the path; sockets of the guest go on. The second call does nothing. */
  close(): void;
}

/**
 * Stands in for a VMM: listens on `path`, takes `CONNECT port`, and says `OK` where the guest
 * listens on that port; and a guest, whose connects to CID 2 reach `path_PORT`. Both ends may live
 * in one process, in two threads or in two processes. It does not keep the process alive; what
 * waits on its sockets does. Deno wants `--allow-read` and `--allow-write` of the path for it.
 *
 * @returns The stand-in. The caller closes it; `using` does so.
 * @throws {RangeError} If a number is out of range.
 * @throws {TypeError} If `path` is no string, or there is no such fault.
 * @throws {VsockError} `EADDRINUSE` if somebody listens on `path`.
 *
 * @example Test a host against an agent, without a VM
 * ```ts
 * import { connect, createVmm, listen } from "@vsockit/vsockit";
 *
 * const path = `/tmp/vsockit-${crypto.randomUUID()}.sock`;
 * using vmm = createVmm(path);
 * using agent = listen({ cid: 3, port: 1024 }, { transport: vmm.guest });
 *
 * using conn = await connect({ path, port: 1024 });
 * using served = await agent.accept();
 * await conn.write(new TextEncoder().encode("hello\n"));
 * console.log(await served.read(new Uint8Array(64))); // 6
 * ```
 */
export function createVmm(path: string, options: VmmOptions = {}): Vmm {
  requireObject("options", options);
  const { cid = 3, faults = {} } = options;
  requirePath("path", path);
  requireU32("cid", cid);
  requireFaults(faults);
  return attempt("listen", { path }, () => new VmmStandIn(path, cid, faults));
}

class VmmStandIn implements Vmm {
  readonly path: string;
  readonly guest: Transport;
  readonly #vmmPath: VmmPath;
  readonly #machine: Machine;
  readonly #faults: HybridFaults;
  /** The host's ends of connections go from 2^30 to 2^31 - 1 and round, as Firecracker's do. */
  #lastPort = 2 ** 31 - 1;

  constructor(path: string, cid: number, faults: HybridFaults) {
    this.path = path;
    this.#faults = faults;
    const machine = this.#machine = {
      cid,
      hostPath: (port: number) => portPath(path, port),
      ports: new Map<number, GuestSocket>(),
    };
    this.guest = {
      name: "hybrid guest",
      capabilities: HYBRID_CAPABILITIES,
      localCid: cid,
      socket: (type) => new GuestSocket(openStream(type), machine),
    };
    this.#vmmPath = new VmmPath(path, (unix, port) => this.#answer(unix, port));
  }

  /** Whether the connection is the guest's now. */
  async #answer(unix: KernelSocket<UnixAddress>, port: number): Promise<boolean> {
    const guest = this.#machine.ports.get(port);
    if (guest?.hasRoom !== true) return false;
    const hostPort = this.#lastPort = ((this.#lastPort + 1) & 0x7fff_ffff) | 0x4000_0000;
    const answer = answerOf(this.#faults, hostPort);
    if (answer === undefined) return false;
    const there = await sendAnswer(unix, answer, this.#faults);
    if (!there || !guest.hasRoom) return false;
    unix.ref();
    guest.arrive(unix, { cid: VMADDR_CID_HOST, port: hostPort });
    return true;
  }

  close(): void {
    this.#vmmPath.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
