/**
 * What a conformance case is, and what a transport owes to run it.
 *
 * A case knows no transport: it gets a near end, which lives in this thread and gives full access,
 * and a far end, which may live in another thread or machine and is driven by messages. A
 * transport joins by one entry, a {@linkcode Lab}.
 *
 * @module
 */
import type { Socket, SocketType } from "../../src/socket.ts";
import type { Transport } from "../../src/transport.ts";
import type { VsockAddress } from "../../src/address.ts";
import type { Header } from "../../src/virtio/packet.ts";
import type { Far } from "./far.ts";

/** Something that only some transports have. */
export type Need =
  /** `SOCK_SEQPACKET`. */
  | "seqpacket"
  /** The receive ABI: mmap and MAP_RX. */
  | "mapRx"
  /** `Socket.zeroCopy` that sends without a copy. */
  | "zeroCopySend"
  /** A message that found no room leaves no trace: another one may go first. Not so on Linux. */
  | "wholeMessages"
  /** `Socket.waitSync()`, the far end being able to act meanwhile. */
  | "waitSync"
  /** Both ends in one event loop: `waitSync()` could never end. */
  | "oneLoop"
  /** Another thread writes `poll_value`. */
  | "spins"
  /** Ports up to 1023 are refused. */
  | "unprivileged"
  /** `Near.silent()`: a peer that never answers. */
  | "silence"
  /** `Near.nowhere`: an address that no transport reaches. */
  | "nowhere"
  /** `Near.losePeer()`: the far machine can be killed. */
  | "loss"
  /** The peer can be a script, packet by packet: `wire.ts`. */
  | "wire"
  /** `Near.packets`: every packet can be seen. */
  | "tap"
  /** `Near.elapse()` of many seconds is affordable. */
  | "clock";

/** The way to a peer that never answers. */
export interface Silent {
  /** A fresh socket. */
  readonly socket: Socket;
  /** What made it. */
  readonly transport: Transport;
  /** Where nobody answers. */
  readonly address: VsockAddress;
}

/** The end of a connection that is in this thread. */
export interface Near {
  /** Makes the sockets of this end. */
  readonly transport: Transport;
  /** CID by which the far end reaches this one. */
  readonly cid: number;
  /** An address that has no transport. Needs `nowhere`. */
  readonly nowhere: VsockAddress;
  /** The headers of all packets that either end has sent so far, oldest first. Needs `tap`. */
  readonly packets: readonly Header[];
  /** A new socket, and an address that takes its packets and never answers. Needs `silence`. */
  silent(): Silent;
  /** A new socket, closed when the case is over. */
  socket(type?: SocketType): Socket;
  /** Closes `thing` when the case is over. */
  keep<T extends Disposable>(thing: T): T;
  /** A port above 1023 that neither end uses. */
  port(): number;
  /** Kills the far end without a word; the pair is not used again. Needs `loss`. */
  losePeer(): Promise<void>;
  /** Lets `ms` milliseconds pass: of the transport's own clock where it has one. */
  elapse(ms: number): Promise<void>;
}

/** One promise that every transport keeps. */
export interface Case {
  /** The call and the promise, in plain words. */
  readonly name: string;
  /** What the case cannot do without. */
  readonly needs: readonly Need[];
  /** Fails by throwing. */
  run(near: Near, far: Far): void | Promise<void>;
}

/** A pair of ends that is up. */
export interface Pair {
  /** The end in this thread. */
  readonly near: Near;
  /** The other one. */
  readonly far: Far;
  /** Closes what the last case made, at both ends: whether the pair can be used again. */
  reset(): Promise<boolean>;
  /** Ends it. */
  close(): Promise<void>;
}

/** One transport's entry. */
export interface Lab {
  /** The first words of each test's name. */
  readonly name: string;
  /** What it has. */
  readonly has: ReadonlySet<Need>;
  /** For what it lacks: why, and what to do about it. */
  readonly lacks: Readonly<Partial<Record<Need, string>>>;
  /** Cases, by name, in which it does as something other than AF_VSOCK: why. @default {none} */
  readonly differs?: ReadonlyMap<string, string>;
  /** Sets up a pair; the suite does so once and closes it at the end. */
  open(): Promise<Pair>;
}
