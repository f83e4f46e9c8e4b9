/**
 * The host's sockets of a hybrid transport.
 *
 * @module
 */
import { POLLIN } from "../../ffi/abi/poll.ts";
import { SHUT_RDWR } from "../../ffi/abi/socket.ts";
import { VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import { type Address, formatAddress, type UnixAddress } from "../address.ts";
import { hintFor } from "../hint.ts";
import { type Claim, claimPath } from "../kernel/claim.ts";
import { ignoreRefusal } from "../kernel/refusal.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import { startTimer } from "../wait/waiting.ts";
import { CarriedSocket } from "./carried.ts";
import type { Dialect } from "./dialect.ts";
import { Handshake, RETRY_MS } from "./handshake.ts";
import type { End, Names } from "./names.ts";
import { HybridOptionValues } from "./options.ts";
import { pickPort } from "./ports.ts";

/** What the sockets of one transport have in common. */
export interface Host<A extends Address> {
  readonly names: Names<A>;
  readonly dialect: Dialect;
  /** Who may connect to a socket that is bound here. */
  readonly mode: number;
  /** The connect timeout of a fresh socket in milliseconds. */
  readonly timeoutMs: number;
}

/** A socket of the host; `A` is what it goes by. */
export class HybridSocket<A extends Address> extends CarriedSocket<A> {
  readonly #host: Host<A>;
  #bound: End | undefined;
  #claim: Claim | undefined;
  #handshake: Handshake | undefined;
  #target: End | undefined;

  /** Takes over `unix`, fresh or, with `local` and `peer`, connected. */
  constructor(
    unix: KernelSocket<UnixAddress>,
    host: Host<A>,
    local?: End,
    peer?: End,
    values?: HybridOptionValues,
  ) {
    const name = local === undefined ? host.names.unbound : host.names.addressOf(local);
    super(unix, name, values ?? new HybridOptionValues(host.timeoutMs));
    this.#host = host;
    if (peer === undefined) return;
    this.remote = host.names.addressOf(peer);
    this.become("connected");
  }

  bind(address: A): void {
    this.requireOpen("bind");
    if (this.state !== "fresh") throw new SysError("bind", "EINVAL");
    const end = this.#host.names.hostEnd(address);
    const bound = end.port === VMADDR_PORT_ANY
      ? pickPort((port) => this.#claimPort({ ...end, port }))
      : this.#claimPort(end);
    this.#bound = bound;
    this.local = this.#host.names.addressOf(bound);
    this.become("bound");
  }

  #claimPort(end: End): End {
    const { dialect, mode } = this.#host;
    const path = dialect.servePath(end.path, VMADDR_CID_HOST, end.port);
    try {
      this.#claim = claimPath(path, () => this.unix.bind({ path }), mode);
    } catch (error) {
      if (error instanceof SysError) this.hint = explainBind(error, path);
      throw error;
    }
    return end;
  }

  listen(backlog: number): void {
    this.requireOpen("listen");
    if (this.state !== "bound" && this.state !== "listening") {
      throw new SysError("listen", "EINVAL");
    }
    this.unix.listen(backlog);
    this.become("listening");
  }

  accept(): HybridSocket<A> | undefined {
    this.requireOpen("accept");
    if (this.state !== "listening") throw new SysError("accept", "EINVAL");
    const unix = this.unix.accept();
    if (unix === undefined) return undefined;
    const { path, port } = this.#bound!;
    // Nothing tells from which port of the VM it comes.
    const peer = this.#host.names.unknownGuestEnd(path);
    const local = { path, cid: VMADDR_CID_HOST, port };
    const values = new HybridOptionValues(this.#host.timeoutMs, this.values);
    return new HybridSocket(unix, this.#host, local, peer, values);
  }

  connect(address: A): boolean {
    this.requireConnectable();
    const target = this.#reach(address);
    if (this.#handshake !== undefined) this.#startOver();
    const { dialect } = this.#host;
    const { path, cid, port } = target;
    const dial = {
      path: dialect.dialPath(path, port),
      hello: dialect.hello(cid, port),
      acks: dialect.acks,
      port,
    };
    this.clearError();
    this.#target = target;
    this.#handshake = new Handshake(this.unix, dial, performance.now() + this.values.timeoutMs);
    this.become("connecting");
    this.#step();
    return this.state === "connected";
  }

  /** The end of the VM that `address` names; ENODEV where it names none. */
  #reach(address: A): End {
    const { names } = this.#host;
    const target = names.guestEnd(address);
    if (target !== undefined) return target;
    this.hint = names.unreachable;
    throw new SysError("connect", "ENODEV");
  }

  /** After a time-out: the socket underneath was connected once, and is of no more use. */
  #startOver(): void {
    this.release();
    this.renew();
    this.local = this.#host.names.unbound;
  }

  /** Drives the handshake as far as it goes now. */
  #step(): void {
    if (this.state !== "connecting") return;
    const outcome = this.#handshake!.step();
    if (outcome.kind === "pending") return;
    if (outcome.kind === "failed") return this.fail(outcome.errno, outcome.hint);
    const { port = VMADDR_PORT_ANY } = outcome;
    const { names } = this.#host;
    const { path } = this.#target!;
    if (this.#bound === undefined) {
      this.local = names.addressOf({ path, cid: VMADDR_CID_ANY, port });
    }
    this.remote = names.addressOf(this.#target!);
    this.become("connected");
  }

  protected override get pollsUnix(): boolean {
    return super.pollsUnix || this.state === "listening";
  }

  protected override pollIdle(events: number): number {
    if (this.state !== "connecting") return super.pollIdle(events);
    this.#step();
    if (this.state === "connecting") return 0;
    return this.pollsUnix ? this.unix.poll(events) : super.pollIdle(events);
  }

  protected override changed(signal: AbortSignal | undefined): Promise<void> {
    if (this.state !== "connecting") return super.changed(signal);
    const { said, leftMs } = this.#handshake!;
    return this.#pause(said, said ? leftMs : Math.min(leftMs, RETRY_MS), signal);
  }

  /** Waits for the answer, or for a change of state, for `ms` at most. */
  async #pause(answer: boolean, ms: number, signal: AbortSignal | undefined): Promise<void> {
    const over = new AbortController();
    const timer = startTimer(() => over.abort(over), ms);
    const abort = (): void => over.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      signal?.throwIfAborted();
      if (answer) await this.unix.wait(POLLIN, over.signal);
      else await super.changed(over.signal);
    } catch (reason) {
      if (reason !== over) throw reason;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  protected override changedSync(ms: number): void {
    if (this.state !== "connecting") return super.changedSync(ms);
    const { said, leftMs } = this.#handshake!;
    if (said) this.unix.waitSync(POLLIN, Math.min(ms, leftMs));
    else super.changedSync(Math.min(ms, RETRY_MS));
  }

  protected release(): void {
    // An OK that nobody has read would make a reset of the end that the VM is to see.
    if (this.state === "connecting") ignoreRefusal(() => this.unix.shutdown(SHUT_RDWR));
    this.#claim?.release();
    this.#claim = undefined;
    this.#bound = undefined;
  }
}

/** What is wrong with the path that stands for a port. */
function explainBind({ code }: SysError, path: string): string {
  const at = formatAddress({ path });
  const why = hintFor("bind", code, { path });
  return why === undefined ? `its path is ${at}` : `${why}: its path is ${at}`;
}
