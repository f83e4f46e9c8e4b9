/** A device, a guest that does whatever a random number says, and one that wants to be served. */
import { PROT_READ } from "../../ffi/abi/mman.ts";
import { SO_VM_SOCKETS_ZEROCOPY } from "../../ffi/abi/virtio_vsock_usr.ts";
import { AF_VSOCK, VMADDR_CID_ANY } from "../../ffi/abi/vm_sockets.ts";
import { SysError } from "../../ffi/errno.ts";
import type { RxMapping, Socket, SocketType } from "../../src/socket.ts";
import { StackTransport } from "../../src/stack/transport.ts";
import { Guest } from "../../src/vhost_user/guest.ts";
import { DeviceNode } from "../../src/vhost_user/node.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import type { Segment } from "../../src/virtio/chain.ts";
import { encodeHeader, HEADER_SIZE } from "../../src/virtio/packet.ts";
import { u32s, u64s } from "../device/front_end.ts";
import type { Block } from "../device/ram.ts";
import { view, writeDesc } from "../unit/virtio/virtqueue_driver.ts";
import { type Ring, RING_SIZE, Vmm } from "./device_vmm.ts";

const [HOSTILE, BYSTANDER] = [42, 43];
const LISTENERS: readonly (readonly [port: number, type: SocketType, mapped: boolean])[] = [
  [1_024, "stream", false],
  [1_025, "seqpacket", false],
  [1_026, "stream", true],
  [1_027, "seqpacket", true],
];
const SOCKETS_MAX = 32;
const ARENA = 0x4_0000;
/** Memory of the file that is in no region, and what is in it. */
const [HOLE, HOLE_END, FILL] = [0xa_0000, 0xc_0000, 0x5a];
const SIZES = [0, 1, 44, 100, 3_000, 4_096, 8_192, 20_000, 65_536, 65_537];
const BUFFERS = [45, 100, 3_776, 4_140, 20_000];
const U32_MAX = 0xffff_ffff;

/** A connection of the host, and the mapping that it may have. */
interface Connection {
  readonly socket: Socket;
  mapping: RxMapping | undefined;
}

/** All that there is. Every step depends on `random` alone. */
export class World implements Disposable {
  readonly node: DeviceNode;
  readonly hostile: Vmm;
  readonly bystander: Vmm;
  /** What was done, how often. */
  readonly counts: Record<string, number> = {};
  readonly #random: () => number;
  readonly #transport: StackTransport;
  readonly #listeners: Socket[] = [];
  #connections: Connection[] = [];
  readonly #arena: Block;
  readonly #buffer: Uint8Array = new Uint8Array(0x2_0000);

  constructor(random: () => number) {
    this.#random = random;
    this.node = new DeviceNode(undefined, {
      fault: () => this.#count("faults"),
      state: () => {},
      connect: () => this.#count("refused"),
    });
    this.#transport = new StackTransport("device", this.node);
    this.hostile = new Vmm(this.#addGuest(HOSTILE));
    this.bystander = new Vmm(this.#addGuest(BYSTANDER));
    this.#arena = this.hostile.ram.take(ARENA);
    this.hostile.ram.bytes.fill(FILL, HOLE, HOLE_END);
    for (const [port, type, mapped] of LISTENERS) {
      const socket = this.#transport.socket(type);
      if (mapped) socket.setsockopt(AF_VSOCK, SO_VM_SOCKETS_ZEROCOPY, u64s(1));
      socket.bind({ cid: VMADDR_CID_ANY, port });
      socket.listen(8);
      this.#listeners.push(socket);
    }
    this.#boot();
  }

  #addGuest(cid: number): Guest {
    const guest = new Guest(cid, this.node);
    this.node.addGuest(guest, this.#random() < 0.5);
    return guest;
  }

  /** A number from 0 up to `limit`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** One thing that the guest, its VMM or the host does; then the device has its turn. */
  step(): void {
    const { guest } = this.hostile;
    if (!guest.up && this.#chance(0.5)) this.#boot();
    const choice = this.below(1_000);
    if (choice < 600) this.#guarded(() => this.#packet());
    else if (choice < 700) this.#guarded(() => this.#post());
    else if (choice < 800) this.#guarded(() => this.#reap());
    else if (choice < 990) this.#host();
    else if (choice < 994) this.#scribble();
    else if (choice < 996) this.#message();
    else if (choice < 997) this.#boot();
    this.node.pump();
    if (guest.waiting > 3 * RING_SIZE) throw new Error(`${guest.waiting} packets wait`);
  }

  #boot(): void {
    this.#count("boots");
    const base = this.#pick([0, 1, 0xfff0, 0xffff]);
    this.hostile.boot({ eventIdx: this.#chance(0.5), indirect: this.#chance(0.5), base });
    this.#post();
  }

  /** The driver trips over what was scribbled: it starts anew. */
  #guarded(act: () => void): void {
    if (!this.hostile.guest.up) return;
    try {
      act();
    } catch (error) {
      if (!(error instanceof Error && error.message.includes("was given back"))) throw error;
      this.#boot();
    }
  }

  #reap(): void {
    for (const { driver } of this.hostile.rings) while (driver.getUsed() !== undefined);
  }

  #post(): void {
    const { driver } = this.hostile.rx;
    while (driver.getUsed() !== undefined);
    for (let count = this.below(RING_SIZE); count > 0; count--) {
      const length = this.#chance(0.001) ? this.below(46) : this.#pick(BUFFERS);
      const segments = this.#split(length, this.#chance(0.999));
      this.#stage(this.hostile.rx, segments);
    }
    driver.publish();
  }

  #packet(): void {
    this.#count("packets");
    const { tx } = this.hostile;
    while (tx.driver.getUsed() !== undefined);
    const size = this.#pick(SIZES);
    const at = this.below(ARENA - HEADER_SIZE - size);
    encodeHeader(this.#header(size), view(this.#arena.bytes), at);
    if (this.#chance(0.001)) this.#arena.bytes[at + this.below(HEADER_SIZE)]! ^= 1;
    const total = this.#chance(0.99) ? HEADER_SIZE + size : this.below(HEADER_SIZE + size);
    this.#stage(tx, this.#split(total, this.#chance(0.001), at));
    tx.driver.publish();
  }

  #header(size: number): Parameters<typeof encodeHeader>[0] {
    const connection = this.#connections[this.below(this.#connections.length)];
    const known = this.#chance(0.6) ? connection : undefined;
    const [near, far] = known === undefined ? [undefined, undefined] : ports(known.socket);
    const op = this.#chance(0.5) ? 5 : this.below(9);
    return {
      srcCid: this.#chance(0.99) ? HOSTILE : this.#pick([0, 1, 2, BYSTANDER, U32_MAX]),
      dstCid: this.#chance(0.98) ? 2 : this.#pick([0, 1, HOSTILE, BYSTANDER, 77, U32_MAX]),
      srcPort: far ?? 1 + this.below(8),
      dstPort: near ?? this.#pick([1_024, 1_025, 1_026, 1_027, 9]),
      len: this.#chance(0.99) ? (op === 5 ? size : 0) : this.#pick([0, size + 1, U32_MAX]),
      type: this.#chance(0.98) ? 1 + this.below(2) : this.#pick([0, 3, 0xffff]),
      op,
      flags: this.below(8),
      bufAlloc: this.#pick([0, 100, 0x4_0000, U32_MAX]),
      fwdCnt: this.#pick([0, 0, 1_000, U32_MAX]),
    };
  }

  /** `total` bytes from `at` of the arena on, in some pieces. */
  #split(total: number, writable: boolean, at = this.below(ARENA - total)): Segment[] {
    const segments: Segment[] = [];
    let address = this.#arena.address + at;
    if (this.#chance(0.001)) address = this.#pick([HOLE, HOLE - 30, 2 ** 40, 0xffff_ffff]);
    if (this.#chance(0.001)) address = this.#within(this.#pick(this.hostile.rings));
    for (let left = total; left > 0 || segments.length === 0;) {
      const length = this.#chance(0.6) ? left : this.below(left + 1);
      segments.push({ address, length, writable });
      address += length;
      left -= length;
      if (segments.length > RING_SIZE) break;
    }
    return segments;
  }

  /** Where a ring lies, or its indirect tables: a packet there is both. */
  #within({ block, tables }: Ring): number {
    const { address, bytes } = this.#pick([block, tables]);
    return address + this.below(bytes.length);
  }

  #stage({ driver }: Ring, segments: readonly Segment[]): void {
    const { indirect } = this.hostile.mode;
    driver.stage(segments.slice(0, RING_SIZE), this.#chance(indirect ? 0.5 : 0.001));
  }

  /** Writes where no driver writes. */
  #scribble(): void {
    this.#count("scribbles");
    const ring = this.#pick(this.hostile.rings);
    const { desc, avail, used } = ring.memory;
    const part = this.#pick([desc, avail, used, ring.tables.bytes]);
    if (this.#chance(0.3)) {
      const address = this.#pick([this.#arena.address, 0, HOLE, U32_MAX, 2n ** 63n]);
      const length = this.#pick([0, 16, 44, 100, U32_MAX]);
      const flags = this.below(8);
      writeDesc(view(desc), this.below(RING_SIZE), address, length, flags, this.below(20));
    } else {
      part[this.below(part.length)] = this.below(256);
    }
  }

  /** A message of the VMM, right or wrong. */
  #message(): void {
    this.#count("messages");
    const request = this.#chance(0.9) ? this.#pick(Object.values(REQUEST)) : this.below(64);
    const fds = Array.from({ length: this.below(3) }, () => this.hostile.ram.fd);
    const body = this.#pick([
      new Uint8Array(0),
      u32s(this.below(3), this.#pick([0, 1, RING_SIZE, U32_MAX])),
      u64s(this.#pick([0n, 1n, 0x100n, 1n << 63n])),
      Uint8Array.from({ length: this.below(80) }, () => this.below(256)),
      u64s(1, 0, 0x1_0000, 0, 0),
    ]);
    this.hostile.say(request, body, { fds, flags: this.#pick([1, 1, 1, 9, 5, 0]) });
  }

  /** A call of a program on the host. Every refusal is one that has an errno. */
  #host(): void {
    this.#count("calls");
    try {
      this.#call(this.#pick(this.#connections.length > 0 ? CALLS : CALLS.slice(0, 2)));
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#count(`${error.op} ${error.code}`);
    }
  }

  #call(call: (typeof CALLS)[number]): void {
    const connection = this.#connections[this.below(this.#connections.length)]!;
    switch (call) {
      case "accept": {
        const socket = this.#pick(this.#listeners).accept();
        if (socket !== undefined) this.#keep(socket);
        return;
      }
      case "connect": {
        const socket = this.#transport.socket(this.#chance(0.5) ? "stream" : "seqpacket");
        this.#keep(socket);
        socket.connect({ cid: HOSTILE, port: 1 + this.below(8) });
        return;
      }
      case "send":
        connection.socket.send(this.#buffer.subarray(0, this.#pick(SIZES)), 0);
        return;
      case "recv":
        if (connection.socket.recv(this.#buffer, 0) > 0) this.#count("received");
        return;
      case "shutdown":
        connection.socket.shutdown(this.below(3));
        return;
      case "map":
        this.#map(connection);
        return;
      case "close":
        this.#close(this.below(this.#connections.length));
    }
  }

  #keep(socket: Socket): void {
    this.#connections.push({ socket, mapping: undefined });
    if (this.#connections.length > SOCKETS_MAX) this.#close(0);
  }

  #close(index: number): void {
    const [connection] = this.#connections.splice(index, 1);
    if (this.#chance(0.5)) connection?.mapping?.unmap();
    connection?.socket.close();
    connection?.mapping?.unmap();
  }

  #map(connection: Connection): void {
    const mapping = connection.mapping ??= connection.socket.mmap(65 * 4_096, PROT_READ);
    if (this.#chance(0.4)) return mapping.advise();
    mapping.mapRx();
    const pages = mapping.page0[1]!;
    if (pages === 0) return;
    this.#count("mapped");
    const length = mapping.page0[2]!;
    if (mapping.lend(0, length).length !== length) throw new Error("a packet is cut");
  }

  /** The other guest connects, says something, and is answered. */
  async serves(): Promise<void> {
    const [{ bytes, address }, port] = [this.bystander.ram.take(4_096), 2_000];
    using listener = this.#transport.socket("stream");
    listener.bind({ cid: VMADDR_CID_ANY, port });
    listener.listen(1);
    this.bystander.boot({ eventIdx: true, indirect: true, base: 0 });
    const { rx, tx } = this.bystander;
    const header = { srcCid: BYSTANDER, srcPort: 7, dstCid: 2, dstPort: port, type: 1, flags: 0 };
    const send = (op: number, len: number): void => {
      encodeHeader({ ...header, op, len, bufAlloc: 1 << 16, fwdCnt: 0 }, view(bytes));
      tx.driver.add([{ address, length: HEADER_SIZE + len, writable: false }]);
      this.node.pump();
    };
    for (let i = 0; i < 3; i++) {
      rx.driver.add([{ address: address + 1_000 * (i + 1), length: 1_000, writable: true }]);
    }
    send(1, 0);
    await Promise.resolve();
    using socket = listener.accept()!;
    send(5, 10);
    if (socket.recv(this.#buffer, 0) !== 10) throw new Error("the other guest is not heard");
    socket.send(this.#buffer.subarray(0, 20), 0);
    await Promise.resolve();
    const lengths: number[] = [];
    for (let used; (used = rx.driver.getUsed()) !== undefined;) lengths.push(used.length);
    // A response, credit where that counts, and what was sent.
    if (lengths[0] !== HEADER_SIZE || lengths.at(-1) !== HEADER_SIZE + 20) {
      throw new Error(`the other guest is told ${lengths}`);
    }
  }

  /** Nothing was written that no descriptor can name. */
  check(): void {
    const hole = this.hostile.ram.bytes.subarray(HOLE, HOLE_END);
    if (hole.some((byte) => byte !== FILL)) throw new Error("bytes outside of memory were written");
  }

  [Symbol.dispose](): void {
    while (this.#connections.length > 0) this.#close(0);
    for (const socket of this.#listeners) socket.close();
    this.hostile[Symbol.dispose]();
    this.bystander[Symbol.dispose]();
  }
}

const CALLS = [
  "accept",
  "connect",
  "send",
  "recv",
  "recv",
  "shutdown",
  "map",
  "map",
  "close",
] as const;

function ports(socket: Socket): [near: number | undefined, far: number | undefined] {
  try {
    return [socket.localAddress().port, socket.remoteAddress().port];
  } catch {
    return [socket.closed ? undefined : socket.localAddress().port, undefined];
  }
}
