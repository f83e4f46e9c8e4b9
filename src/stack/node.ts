/**
 * One end's kernel: a stack, its carriers, its clock, and what its sockets share.
 *
 * @module
 */
import { VIRTIO_VSOCK_MAX_PKT_BUF_SIZE } from "../../ffi/abi/virtio_vsock.ts";
import { SysError } from "../../ffi/errno.ts";
import { leaveUncaught } from "../runtime/uncaught.ts";
import { LoopHold } from "../wait/loop_hold.ts";
import { Turns } from "../wait/turns.ts";
import { TIMER_MAX_MS } from "../wait/waiting.ts";
import type { Carrier } from "../virtio/carrier.ts";
import type { Packet } from "../virtio/packet.ts";
import type { PollPage, VsockSock } from "../virtio/sock.ts";
import { Stack, type StackHost } from "../virtio/stack.ts";
import type { Clock } from "./clock.ts";
import { LocalPage } from "./local_page.ts";

/** Page 0 of a mapping, as this end keeps it. */
export interface RxPage extends PollPage {
  /** The 4096 bytes. */
  readonly words: Int32Array;
  /** Whether somebody else can write the bytes that are lent. */
  readonly volatile: boolean;
  /** Whether a wait for `poll_value` ends without the event loop. */
  readonly spins: boolean;
  /** The socket is closed: nobody writes the page any more. */
  close(): void;
}

/** Is told of every packet that goes by. What it throws is uncaught, and the packet goes on. */
export type Tap = (packet: Packet, timeMs: number) => void;

/** What a node is made of. */
export interface NodeOptions {
  readonly cids: readonly number[];
  readonly privileged?: boolean | undefined;
  readonly firstPort: number;
  readonly clock: Clock;
  readonly tap?: Tap | undefined;
  /** Whether a seed draws what happens: nothing is to depend on how long something takes. */
  readonly replays?: boolean | undefined;
  /** Draws how much of `n` (at least 1) a send or a recv handles. */
  readonly shorten?: ((what: "read" | "write", n: number) => number) | undefined;
}

/** A port above 1023 to begin with. */
export function firstPort(random: () => number): number {
  return 1_024 + Math.floor(random() * 0x7fff_0000);
}

/**
 * `tellsCredit()` of a carrier over which an update is slow: a peer that hears of credit when less
 * than a packet is left would stand still meanwhile. So it hears once half of its window is free
 * again, or where the reader waits for more than it may send. A message may need all credit there
 * is: there it always hears.
 */
export function tellsCreditLate({ credit, rx, rcvlowat, seqpacket }: VsockSock): boolean {
  const window = credit.txBufSize(); // the peer keeps to its own buffer too
  const low = Math.max(VIRTIO_VSOCK_MAX_PKT_BUF_SIZE, window / 2);
  return seqpacket || window - credit.untold() < low || credit.believed() < rcvlowat - rx.rxBytes;
}

/** Inside one event loop: packets come by microtask, so nothing ever blocks. */
export class StackNode implements StackHost {
  readonly cids: readonly number[];
  readonly privileged: boolean;
  readonly firstPort: number;
  readonly stack: Stack;
  readonly hold: LoopHold = new LoopHold();
  readonly turns: Turns = new Turns();
  readonly shorten: NodeOptions["shorten"];
  readonly replays: boolean;
  /** Its sockets that listen. */
  readonly listening: Set<Disposable> = new Set();
  readonly #clock: Clock;
  readonly #tap: Tap | undefined;
  #wire: Carrier | undefined;
  #sockets = 0;
  #armedAt = Infinity;
  #disarm: (() => void) | undefined;

  constructor(options: NodeOptions) {
    this.cids = options.cids;
    this.privileged = options.privileged ?? true;
    this.firstPort = options.firstPort;
    this.#clock = options.clock;
    this.shorten = options.shorten;
    this.replays = options.replays ?? false;
    this.#tap = options.tap;
    this.stack = new Stack(this);
  }

  /** Whether `block()` can wait for another thread. */
  get blocks(): boolean {
    return false;
  }

  /** What kind of carrier it has, as `ReceiveCost` names it. */
  get carrierName(): string {
    return "loopback";
  }

  /** Whether `pump()` sees what has arrived without a system call, so that it can be spun on. */
  get looks(): boolean {
    return false;
  }

  /** The carrier for what stays in this thread. */
  useWire(wire: Carrier): void {
    this.#wire = wire;
  }

  now(): number {
    return this.#clock.now();
  }

  route(cid: number): Carrier | undefined {
    return this.cids.includes(cid) ? this.#wire : undefined;
  }

  /** A packet has come out of a carrier. */
  deliver(packet: Packet): void {
    this.tapped(packet);
    this.stack.receive(packet);
  }

  /** Shows the tap a packet that goes by. */
  tapped(packet: Packet): void {
    try {
      this.#tap?.(packet, this.now());
    } catch (error) {
      leaveUncaught(error);
    }
  }

  /** Whether packets of that connection get mapped. */
  maps(srcPort: number, dstPort: number): boolean {
    return this.stack.maps(srcPort, dstPort);
  }

  /**
   * As Linux does: with less than a full packet free, or where the reader waits for more. Where
   * more was drained than the buffer holds now, what is free wraps around.
   */
  tellsCredit({ credit, rx, rcvlowat }: VsockSock): boolean {
    return credit.free() < VIRTIO_VSOCK_MAX_PKT_BUF_SIZE || rx.rxBytes < rcvlowat;
  }

  timersChanged(): void {
    const next = this.stack.nextDeadline();
    if (next >= this.#armedAt && next !== Infinity) return;
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedAt = next;
    if (next === Infinity) return;
    const ms = Math.min(Math.max(0, next - this.now()), TIMER_MAX_MS); // then the rest
    this.#disarm = this.#clock.after(ms, () => {
      this.#armedAt = Infinity;
      this.#disarm = undefined;
      try {
        this.#runTimers();
      } finally {
        this.timersChanged();
      }
    });
  }

  /** Those that are due: what came before them counts, however late this thread is. */
  #runTimers(): void {
    if (this.stack.nextDeadline() > this.#clock.now()) return;
    try {
      this.pump();
    } finally {
      this.stack.runTimers();
    }
  }

  /** Takes in what has arrived by `carrier`, or by all; called before every system call. */
  pump(_carrier?: Carrier): void {}

  /** Somebody waits in this event loop: it pumps what arrives from now on. */
  keepPumping(): void {}

  /** Blocks this thread until `ready()` gives something else than 0, for at most `timeoutMs`. */
  block(ready: () => number, timeoutMs: number): number {
    const now = ready();
    if (now !== 0 || timeoutMs <= 0) return now;
    throw new SysError("poll", "EOPNOTSUPP");
  }

  /** `block()` for a node that `sleep` can wait in: at most so many milliseconds, or less. */
  protected blockBy(sleep: (ms: number) => void, ready: () => number, timeoutMs: number): number {
    const deadline = this.now() + timeoutMs;
    for (;;) {
      this.#runTimers();
      const events = ready();
      if (events !== 0) return events;
      const now = this.now();
      if (now >= deadline) return 0;
      // What is due since those were run is next: to sleep for less than nothing is an error.
      sleep(Math.max(0, Math.min(deadline, this.stack.nextDeadline()) - now));
    }
  }

  /** A socket was made. */
  opened(): void {
    this.#sockets++;
  }

  /** A socket was closed: after the last one nothing of this end is left in the event loop. */
  closed(): void {
    if (--this.#sockets === 0) this.hold[Symbol.dispose]();
  }

  /** Calls `free`, which frees many payloads. */
  freeTogether(free: () => void): void {
    free();
  }

  /** Page 0 for `sock`. */
  openPage(_sock: VsockSock): RxPage {
    return new LocalPage();
  }
}
