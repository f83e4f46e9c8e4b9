/**
 * A guest that is served: the socket that its VMM connects to, and the VMM that has connected.
 *
 * @module
 */
import { SysError } from "../../ffi/errno.ts";
import { VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import type { UnixAddress } from "../address.ts";
import { VsockError } from "../error.ts";
import type { Claim } from "../kernel/claim.ts";
import { listenOnPath } from "../kernel/open.ts";
import type { KernelSocket } from "../kernel/socket.ts";
import type { LoopHold } from "../wait/loop_hold.ts";
import {
  limitWait,
  orAborted,
  requireWaitOptions,
  startTimer,
  type WaitOptions,
} from "../wait/waiting.ts";
import { Channel } from "./channel.ts";
import { takeEvents } from "./eventfds.ts";
import { type Guest, RINGS } from "./guest.ts";
import type { GuestCounters } from "./guest_tx.ts";
import { Session } from "./session.ts";
import type { Watcher } from "./watcher.ts";

const BACKLOG = 1;
/** Milliseconds until it listens again when descriptors have run out, or threads. */
const FULL_MS = 100;
/** Messages of a VMM that are handled before the event loop gets a turn: a start takes about 30. */
const MESSAGES = 64;

/** What a served guest needs of its device. */
export interface ServedGuestHost {
  readonly watcher: Watcher;
  /** Keeps the process alive while somebody waits for a guest. */
  readonly hold: LoopHold;
  /** The VMM has done something wrong: its connection is closed. */
  fault(error: Error): void;
  /** The guest is no more. */
  closed(): void;
}

/** A guest of a `VsockDevice`: it is served until closed. */
export interface VsockGuest extends Disposable {
  /** Its CID. */
  readonly cid: number;
  /** Where its VMM connects to. */
  readonly socketPath: string;
  /** Whether its driver runs. */
  readonly up: boolean;
  /** How much has gone by since it was added. */
  readonly counters: Readonly<GuestCounters>;
  /**
   * Waits until its driver runs.
   *
   * @throws {VsockError} `ETIMEDOUT` past `timeoutMs`, `EBADF` once it is closed.
   */
  ready(options?: WaitOptions): Promise<void>;
  /** Ends its connections with ECONNRESET and unlinks the path. The second call does nothing. */
  close(): void;
}

/** One guest, and the VMM that it runs in. */
export class ServedGuest implements VsockGuest {
  readonly cid: number;
  readonly socketPath: string;
  readonly #guest: Guest;
  readonly #features: bigint;
  readonly #host: ServedGuestHost;
  readonly #listener: KernelSocket<UnixAddress>;
  readonly #claim: Claim;
  readonly #waiters: Set<() => void> = new Set();
  #vmm: KernelSocket<UnixAddress> | undefined;
  #session: Session | undefined;

  /** Listens on `path`. */
  constructor(path: string, guest: Guest, features: bigint, host: ServedGuestHost) {
    this.cid = guest.cid;
    this.socketPath = path;
    this.#guest = guest;
    this.#features = features;
    this.#host = host;
    const { unix, claim } = listenOnPath(path, BACKLOG);
    this.#listener = unix;
    this.#claim = claim;
    this.#listen();
  }

  get up(): boolean {
    return this.#guest.up;
  }

  get counters(): Readonly<GuestCounters> {
    return this.#guest.counters;
  }

  async ready(options: WaitOptions = {}): Promise<void> {
    requireWaitOptions(options);
    this.#requireOpen();
    if (this.up) return;
    using limit = limitWait("poll", options, { cid: this.cid, port: VMADDR_PORT_ANY });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.add(resolve);
    this.#host.hold.acquire();
    try {
      await orAborted(promise, limit.signal);
    } finally {
      this.#host.hold.release();
      this.#waiters.delete(resolve);
    }
    this.#requireOpen();
  }

  close(): void {
    if (this.#listener.closed) return;
    this.#host.watcher.remove(this.#listener.fd);
    this.#claim.release();
    this.#turnAwayAll();
    this.#listener.close();
    this.#hangUp();
    this.#host.closed();
    this.#wake();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #requireOpen(): void {
    if (!this.#listener.closed) return;
    throw new VsockError("poll", "EBADF", { address: { cid: this.cid, port: VMADDR_PORT_ANY } });
  }

  #wake(): void {
    for (const resolve of this.#waiters) resolve();
  }

  #listen(): void {
    const { watcher } = this.#host;
    watcher.add(this.#listener.fd, () => this.#accept(), (error) => this.#rest(error));
  }

  /** Listens again after a while: what has run out passes, and would be told without end. */
  #rest(error: Error): void {
    this.#host.watcher.remove(this.#listener.fd);
    startTimer(() => !this.#listener.closed && this.#listen(), FULL_MS);
    this.#host.fault(error);
  }

  /** One VMM at a time: a second one is turned away. */
  #accept(): boolean {
    try {
      const vmm = this.#listener.accept();
      if (vmm === undefined) return false;
      if (this.#vmm !== undefined) this.#hear(); // it may be gone, and this one be its successor
      const free = this.#vmm === undefined && !this.#listener.closed;
      if (free) this.#greet(vmm);
      else turnAway(vmm);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#rest(error);
    }
    return false;
  }

  #turnAwayAll(): void {
    try {
      for (let vmm; (vmm = this.#listener.accept()) !== undefined;) turnAway(vmm);
    } catch (error) {
      if (!(error instanceof SysError)) throw error; // out of descriptors: the kernel does it
    }
  }

  #greet(vmm: KernelSocket<UnixAddress>): void {
    const { watcher } = this.#host;
    this.#vmm = vmm;
    this.#session = new Session(vmm.fd, {
      features: this.#features,
      config: new Uint8Array(BigUint64Array.of(BigInt(this.cid)).buffer),
      rings: RINGS,
      forget: (fd) => watcher.remove(fd),
      stopping: () => this.#guest.stop(),
    });
    watcher.add(vmm.fd, () => this.#hear(), this.#fail);
  }

  /** Handles what the VMM has sent: whether there may be more. */
  #hear(): boolean {
    const session = this.#session!;
    return this.#orHangUp(() => {
      for (let count = 0; count < MESSAGES; count++) {
        const more = session.step();
        if (more === null) this.#hangUp();
        if (!more) return false;
        this.#update(session);
        if (this.#session !== session) return false; // whoever was told has closed the guest
      }
      return true;
    });
  }

  /** The rings may have come, gone, or got other eventfds. */
  #update(session: Session): void {
    const { watcher } = this.#host;
    for (const { kick } of session.rings) {
      if (kick === undefined || watcher.has(kick)) continue;
      watcher.add(kick, () => this.#kicked(kick), this.#fail);
    }
    this.#guest.update(session);
    if (this.up) this.#wake();
  }

  #kicked(fd: number): boolean {
    return this.#orHangUp(() => {
      takeEvents(fd);
      return this.#guest.kicked();
    });
  }

  /** What `act` gives; where the VMM has done something wrong, that is the end of it. */
  #orHangUp(act: () => boolean): boolean {
    try {
      return act();
    } catch (error) {
      this.#fail(error as Error);
      return false;
    }
  }

  readonly #fail = (error: Error): void => {
    this.#hangUp();
    this.#host.fault(error);
  };

  /** Ends what there is with the VMM; another one may come. */
  #hangUp(): void {
    const vmm = this.#vmm;
    if (vmm === undefined) return;
    this.#guest.stop();
    this.#session?.close();
    this.#session = this.#vmm = undefined;
    this.#host.watcher.remove(vmm.fd);
    vmm.close();
  }
}

/** What it has sent may have descriptors with it. */
function turnAway(vmm: KernelSocket<UnixAddress>): void {
  new Channel(vmm.fd).close();
  vmm.close();
}
