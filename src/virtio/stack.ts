/**
 * Who has which address, and where packets go: the tables of the kernel's `af_vsock.c`.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_ANY, VMADDR_CID_LOCAL, VMADDR_PORT_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import type { Carrier } from "./carrier.ts";
import { receivePacket, resetByDevice } from "./connection.ts";
import { type Ends, type Header, type Packet, resetOf, reversed } from "./packet.ts";
import { SHUTDOWN_MASK, type SockAddr, type VsockSock } from "./sock.ts";
import { type Timer, Timers } from "./timers.ts";

const LAST_RESERVED_PORT = 1023;
const MAX_PORT_RETRIES = 24;

/** What a stack needs from where it runs. */
export interface StackHost {
  /** CIDs of this end; the first is the source of packets from sockets bound to any. */
  readonly cids: readonly number[];
  /** Milliseconds, from any origin. */
  now(): number;
  /** The way to `cid`, or `undefined` where there is none. */
  route(cid: number): Carrier | undefined;
  /** Whether the peer of `sock` is to be told that it has more credit than it knows of. */
  tellsCredit(sock: VsockSock): boolean;
  /** A deadline was set that is due before all others, or the last one was cancelled. */
  timersChanged(): void;
  /** `CAP_NET_BIND_SERVICE`: whether bind(2) may take ports up to 1023. */
  readonly privileged: boolean;
  /** The first port that bind(2) gives out, above 1023. */
  readonly firstPort: number;
}

/** One end's sockets. */
export class Stack {
  readonly host: StackHost;
  /** Whether `SO_VM_SOCKETS_ZEROCOPY` was ever turned on: until then nobody has to be asked. */
  zerocopy: boolean = false;
  readonly #timers = new Timers();
  readonly #bound = new Map<number, VsockSock[]>();
  readonly #connected = new Map<number, VsockSock[]>();
  /** Who waits for memory of which carrier, in order, and for how many bytes. */
  readonly #wantRoom = new Map<Carrier, Map<VsockSock, number>>();
  #nextPort: number;

  constructor(host: StackHost) {
    this.host = host;
    this.#nextPort = host.firstPort;
  }

  /** A packet has arrived. */
  receive(packet: Packet): void {
    const { type } = packet;
    const sock = this.#lookup(packet);
    if (
      sock === undefined || sock.type !== type || sock.done ||
      (sock.state !== "listen" && !this.#fromPeer(sock, packet)) ||
      (type !== VIRTIO_VSOCK_TYPE_STREAM && type !== VIRTIO_VSOCK_TYPE_SEQPACKET)
    ) {
      packet.payload?.free();
      this.resetNoSock(packet);
      return;
    }
    receivePacket(this, sock, packet);
  }

  /** Whether some socket is what `header` is for. */
  has(header: Header): boolean {
    return this.#lookup(header) !== undefined;
  }

  /**
   * `carrier` has memory for `bytes` again. Tells as many sockets as that is enough for, those that
   * have waited longest first; each takes `least` or more. Gives whether others still wait: then
   * this is to be called again.
   */
  tellRoom(carrier: Carrier, bytes: number = Infinity, least: number = 1): boolean {
    const socks = this.#wantRoom.get(carrier) ?? [];
    let left = bytes;
    for (const [sock, wanted] of socks) {
      if (left <= 0) return true;
      left -= Math.max(least, wanted);
      this.#forgetWaiting(sock, carrier);
      sock.wantRoom = false;
      sock.changed();
    }
    return this.#wantRoom.has(carrier); // whoever was told may have been refused again
  }

  /** `sock` could not get memory of its `carrier` for `bytes`: it is told by `tellRoom()`. */
  needRoom(sock: VsockSock, carrier: Carrier, bytes: number): void {
    sock.wantRoom = true;
    const socks = this.#wantRoom.get(carrier) ?? new Map<VsockSock, number>();
    this.#wantRoom.set(carrier, socks.set(sock, bytes));
  }

  /**
   * The device behind `carrier` is gone: its connections end with ECONNRESET. The next one hears
   * nothing of them. Gives what resets those that the peer has not ended, should it come back.
   */
  reset(carrier: Carrier): Header[] {
    // Of the bound ones not all: a connection that the peer has ended stays as it is.
    const asked = [...this.#bound.values()].flat().filter(({ state }) => state === "syn_sent");
    const known = [...this.#connected.values()].flat().concat(asked);
    const socks = new Set(known.filter((sock) => sock.carrier === carrier));
    for (const sock of carrier.closing ?? []) socks.add(sock); // some are in no table any more
    const resets = [...socks].filter(({ peerShutdown }) => peerShutdown !== SHUTDOWN_MASK)
      .map((sock) => resetOf(this.#endsOf(sock)));
    for (const sock of socks) resetByDevice(this, sock);
    carrier.epoch = (carrier.epoch ?? 0) + 1;
    return resets;
  }

  #endsOf(sock: VsockSock): Ends {
    const { local, remote, type } = sock;
    const src = { srcCid: this.sourceCid(sock), srcPort: local.port };
    return { ...src, dstCid: remote.cid, dstPort: remote.port, type };
  }

  /** Answers a packet that no socket wants by RST, unless it was one. */
  resetNoSock(header: Header): void {
    if (header.op === VIRTIO_VSOCK_OP_RST) return;
    this.host.route(header.srcCid)?.send(resetOf(reversed(header)));
  }

  /** The source CID of what `sock` sends. */
  sourceCid(sock: VsockSock): number {
    return sock.local.cid === VMADDR_CID_ANY ? this.host.cids[0]! : sock.local.cid;
  }

  /** Sets a deadline `ms` from now. */
  after(ms: number, run: () => void): Timer {
    const before = this.#timers.next();
    const timer = this.#timers.add(this.host.now() + ms, run);
    if (timer.at < before) this.host.timersChanged();
    return timer;
  }

  /** Forgets a deadline. */
  cancel(timer: Timer | undefined): void {
    if (timer?.run === undefined) return;
    this.#timers.cancel(timer);
    if (this.#timers.next() === Infinity) this.host.timersChanged();
  }

  /** When the next deadline is due; `Infinity` for none. */
  nextDeadline(): number {
    return this.#timers.next();
  }

  /** Runs what is due. */
  runTimers(): void {
    this.#timers.run(this.host.now());
  }

  /** bind(2): EINVAL where bound, EADDRNOTAVAIL, EACCES, EADDRINUSE. */
  bind(sock: VsockSock, address: SockAddr): void {
    if (sock.bound) throw new SysError("bind", "EINVAL");
    if (address.cid !== VMADDR_CID_ANY && !this.host.cids.includes(address.cid)) {
      throw new SysError("bind", "EADDRNOTAVAIL");
    }
    let { port } = address;
    if (port === VMADDR_PORT_ANY) {
      port = this.#freePort(address.cid);
    } else if (port <= LAST_RESERVED_PORT && !this.host.privileged) {
      throw new SysError("bind", "EACCES");
    } else if (this.#findBound(address) !== undefined) {
      throw new SysError("bind", "EADDRINUSE");
    }
    sock.local = { cid: address.cid, port };
    insert(this.#bound, port, sock);
  }

  /** Makes packets from `sock.remote` find `sock`. */
  insertConnected(sock: VsockSock): void {
    insert(this.#connected, pairKey(sock.local.port, sock.remote.port), sock);
  }

  /** Takes `sock` out of the connected table, and of the bound one when its user has closed it. */
  remove(sock: VsockSock): void {
    if (sock.dead) remove(this.#bound, sock.local.port, sock);
    remove(this.#connected, pairKey(sock.local.port, sock.remote.port), sock);
    if (sock.carrier !== undefined) this.#forgetWaiting(sock, sock.carrier);
  }

  #forgetWaiting(sock: VsockSock, carrier: Carrier): void {
    const socks = this.#wantRoom.get(carrier);
    if (socks?.delete(sock) && socks.size === 0) this.#wantRoom.delete(carrier);
  }

  /** The socket that a packet from `src` to `dst` is for. */
  findConnected(
    srcCid: number,
    srcPort: number,
    dstPort: number,
  ): VsockSock | undefined {
    const socks = this.#connected.get(pairKey(dstPort, srcPort));
    if (socks === undefined) return undefined;
    for (const sock of socks) {
      const { remote } = sock;
      if (remote.port === srcPort && remote.cid === srcCid && sock.local.port === dstPort) {
        return sock;
      }
    }
    return undefined;
  }

  /** Whether the socket that receives on that connection maps what it gets. */
  maps(srcPort: number, dstPort: number): boolean {
    if (!this.zerocopy) return false;
    const socks = this.#connected.get(pairKey(dstPort, srcPort));
    return socks?.some(({ zerocopy, local, remote }) =>
      zerocopy && local.port === dstPort && remote.port === srcPort
    ) ?? false;
  }

  #lookup(packet: Header): VsockSock | undefined {
    return this.findConnected(packet.srcCid, packet.srcPort, packet.dstPort) ??
      this.#findBound({ cid: packet.dstCid, port: packet.dstPort });
  }

  #fromPeer(sock: VsockSock, { srcCid, srcPort }: Header): boolean {
    if (srcPort !== sock.remote.port) return false;
    return srcCid === sock.remote.cid || this.host.cids[0] === VMADDR_CID_LOCAL;
  }

  #findBound({ cid, port }: SockAddr): VsockSock | undefined {
    return this.#bound.get(port)?.find(({ local }) =>
      local.cid === cid || local.cid === VMADDR_CID_ANY || cid === VMADDR_CID_ANY
    );
  }

  #freePort(cid: number): number {
    for (let i = 0; i < MAX_PORT_RETRIES; i++) {
      if (this.#nextPort >= VMADDR_PORT_ANY || this.#nextPort <= LAST_RESERVED_PORT) {
        this.#nextPort = LAST_RESERVED_PORT + 1;
      }
      const port = this.#nextPort++;
      if (this.#findBound({ cid, port }) === undefined) return port;
    }
    throw new SysError("bind", "EADDRNOTAVAIL");
  }
}

/** Odd, and known to no peer: who chooses the ports could have all connections in one place. */
const [LOCAL, REMOTE] = [oddNumber(), oddNumber()];

function oddNumber(): number {
  return Math.floor(Math.random() * 2 ** 32) | 1;
}

function pairKey(localPort: number, remotePort: number): number {
  return (Math.imul(localPort, LOCAL) + Math.imul(remotePort, REMOTE)) | 0;
}

function insert(table: Map<number, VsockSock[]>, key: number, sock: VsockSock): void {
  const socks = table.get(key);
  if (socks === undefined) table.set(key, [sock]);
  else socks.push(sock);
}

function remove(table: Map<number, VsockSock[]>, key: number, sock: VsockSock): void {
  const socks = table.get(key);
  const at = socks?.indexOf(sock) ?? -1;
  if (at < 0) return;
  if (socks!.length === 1) table.delete(key);
  else socks!.splice(at, 1);
}
