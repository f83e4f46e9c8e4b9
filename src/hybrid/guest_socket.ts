/**
 * The sockets of the machine that a stand-in for a VMM pretends to run.
 *
 * @module
 */
import { POLLIN, POLLRDNORM } from "../../ffi/abi/poll.ts";
import { VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import type { UnixAddress, VsockAddress } from "../address.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import { CarriedSocket } from "./carried.ts";
import { HybridOptionValues } from "./options.ts";
import { pickPort } from "./ports.ts";

/** What the sockets of one machine have in common. */
export interface Machine {
  /** Its CID. */
  readonly cid: number;
  /** Where it reaches `port` of the host. */
  hostPath(port: number): string;
  /** Who has which port. */
  readonly ports: Map<number, GuestSocket>;
}

/** A connection from the host that nobody has accepted yet. */
interface Arrival {
  readonly unix: KernelSocket<UnixAddress>;
  readonly peer: VsockAddress;
}

/** The connect timeout of AF_VSOCK; nothing here takes any time. */
const TIMEOUT_MS = 2_000;
const READABLE = POLLIN | POLLRDNORM;

/** A socket within the machine. */
export class GuestSocket extends CarriedSocket<VsockAddress> {
  readonly #machine: Machine;
  readonly #queue: Arrival[] = [];
  #port: number | undefined;
  #backlog = -1;

  /** Takes over `unix`, fresh or, with `local` and `peer`, connected. */
  constructor(
    unix: KernelSocket<UnixAddress>,
    machine: Machine,
    local?: VsockAddress,
    peer?: VsockAddress,
    values: HybridOptionValues = new HybridOptionValues(TIMEOUT_MS),
  ) {
    super(unix, local ?? { cid: VMADDR_CID_ANY, port: VMADDR_PORT_ANY }, values);
    this.#machine = machine;
    if (peer === undefined) return;
    this.remote = peer;
    this.become("connected");
  }

  bind({ cid, port }: VsockAddress): void {
    this.requireOpen("bind");
    if (this.state !== "fresh") throw new SysError("bind", "EINVAL");
    if (cid !== this.#machine.cid && cid !== VMADDR_CID_ANY) {
      throw new SysError("bind", "EADDRNOTAVAIL");
    }
    this.#take(cid, port);
    this.become("bound");
  }

  #take(cid: number, port: number): void {
    const { ports } = this.#machine;
    const take = (port: number): number => {
      if (ports.has(port)) throw new SysError("bind", "EADDRINUSE");
      ports.set(port, this);
      return port;
    };
    this.#port = port === VMADDR_PORT_ANY ? pickPort(take) : take(port);
    this.local = { cid, port: this.#port };
  }

  listen(backlog: number): void {
    this.requireOpen("listen");
    if (this.state !== "bound" && this.state !== "listening") {
      throw new SysError("listen", "EINVAL");
    }
    this.#backlog = backlog;
    this.become("listening");
  }

  /** Whether one more connection may wait. */
  get hasRoom(): boolean {
    return this.state === "listening" && !this.closed && this.#queue.length <= this.#backlog;
  }

  /** Takes over a connection from the host, for which there is room. */
  arrive(unix: KernelSocket<UnixAddress>, peer: VsockAddress): void {
    this.#queue.push({ unix, peer });
    this.waiters.wake();
  }

  accept(): GuestSocket | undefined {
    this.requireOpen("accept");
    if (this.state !== "listening") throw new SysError("accept", "EINVAL");
    const arrival = this.#queue.shift();
    if (arrival === undefined) return undefined;
    const local = { cid: this.#machine.cid, port: this.local.port };
    const values = new HybridOptionValues(TIMEOUT_MS, this.values);
    return new GuestSocket(arrival.unix, this.#machine, local, arrival.peer, values);
  }

  connect(address: VsockAddress): boolean {
    this.requireConnectable();
    this.clearError();
    if (address.cid !== VMADDR_CID_HOST) {
      this.hint = "a guest reaches the host alone, CID 2";
      throw new SysError("connect", "ENODEV");
    }
    if (this.#port === undefined) this.#take(VMADDR_CID_ANY, VMADDR_PORT_ANY);
    try {
      this.unix.connect({ path: this.#machine.hostPath(address.port) });
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      // Whatever is wrong with the path or its queue, a guest is told by a reset.
      this.fail("ECONNRESET", `the host does not listen: ${error.message}`);
      return false;
    }
    this.remote = { cid: address.cid, port: address.port };
    this.become("connected");
    return true;
  }

  protected override pollIdle(events: number): number {
    if (this.state !== "listening") return super.pollIdle(events);
    return this.#queue.length > 0 ? events & READABLE : 0;
  }

  protected override changedSync(ms: number): void {
    // Who would put a connection into the queue lives in this thread.
    if (this.state === "listening") throw new SysError("poll", "EOPNOTSUPP");
    super.changedSync(ms);
  }

  protected release(): void {
    for (const { unix } of this.#queue.splice(0)) unix.close();
    if (this.#port !== undefined) this.#machine.ports.delete(this.#port);
  }
}
