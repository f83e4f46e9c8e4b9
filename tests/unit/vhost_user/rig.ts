/** A receive ring, its guest and sockets that send to it: no device, no event loop. */
import { assertEquals } from "@std/assert";
import { VIRTIO_VSOCK_OP_RW } from "../../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_HOST } from "../../../ffi/abi/vm_sockets.ts";
import { WOULD_BLOCK } from "../../../ffi/errno.ts";
import { RxWriter } from "../../../src/vhost_user/guest_rx.ts";
import { send } from "../../../src/virtio/calls.ts";
import { attach } from "../../../src/virtio/connection.ts";
import { decodeHeader, HEADER_SIZE } from "../../../src/virtio/packet.ts";
import { VsockSock } from "../../../src/virtio/sock.ts";
import { Stack } from "../../../src/virtio/stack.ts";
import { Virtqueue } from "../../../src/virtio/virtqueue.ts";
import { Driver, ringIn, view } from "../virtio/virtqueue_driver.ts";

const GUEST_CID = 42;
/** Bytes of the largest buffer that can be posted. */
export const BUFFER_MAX = 70_000;

/** A connection: its socket here, and what its guest has got of it. */
export class RxFlow {
  readonly sock: VsockSock;
  readonly #rig: RxRig;
  readonly #sent: Uint8Array[] = [];
  readonly #got: Uint8Array[] = [];
  #part: Uint8Array[] = [];
  #bytes = 0;

  constructor(rig: RxRig, sock: VsockSock) {
    this.#rig = rig;
    this.sock = sock;
  }

  /** Sends what there is room for of `data`: how much. */
  send(data: Uint8Array): number {
    const taken = send(this.#rig.stack, this.sock, data, 0);
    if (taken !== WOULD_BLOCK) this.#sent.push(data.subarray(0, taken));
    return taken;
  }

  /** A packet has come: credit is given for it. */
  got(data: Uint8Array, flags: number): void {
    this.#part.push(data);
    this.#bytes += data.length;
    this.sock.credit.learn(0xffff_ffff, this.#bytes);
    if (flags === 0) return;
    this.#got.push(joined(this.#part));
    this.#part = [];
  }

  /** All that was sent has come and is counted: in order, messages whole. */
  check(): void {
    assertEquals(this.sock.bytesUnsent, 0);
    if (this.sock.seqpacket) {
      assertEquals(this.#part.length, 0, "a message has no end");
      assertEquals(this.#got.map(({ length }) => length), this.#sent.map(({ length }) => length));
    }
    const [got, sent] = [joined([...this.#got, ...this.#part]), joined(this.#sent)];
    assertEquals(got.length, sent.length);
    assertEquals(got.findIndex((byte, i) => byte !== sent[i]), -1, "bytes that differ");
  }
}

/** A ring of `size` descriptors. */
export class RxRig {
  readonly rx: RxWriter;
  readonly stack: Stack;
  /** Operations of all packets that have come. */
  readonly ops: Set<number> = new Set();
  readonly #driver: Driver;
  readonly #flows: Map<number, RxFlow> = new Map();
  readonly #memory: Uint8Array;
  /** Addresses of buffers that can be posted. */
  readonly #free: number[];
  /** By head. */
  readonly #posted: Map<number, number> = new Map();

  constructor(size: number) {
    const parts = ringIn(new Uint8Array(64 + 32 * size), size);
    this.#driver = new Driver({ ...parts, eventIdx: true });
    this.#memory = new Uint8Array(size * BUFFER_MAX);
    this.#free = Array.from({ length: size }, (_, i) => i * BUFFER_MAX);
    const memory = {
      bytes: (at: number, length: number) => this.#memory.subarray(at, at + length),
    };
    const queue = new Virtqueue({ ...parts, memory, eventIdx: true, indirect: false, base: 0 });
    this.rx = new RxWriter(queue, memory);
    this.stack = new Stack({
      cids: [VMADDR_CID_HOST],
      now: () => 0,
      route: () => this.rx,
      tellsCredit: () => false,
      timersChanged: () => {},
      privileged: true,
      firstPort: 1_024,
    });
  }

  /** A connection to the guest, with up to `bufferSize` bytes on their way. */
  connect(type: number, bufferSize: number = 1 << 20): RxFlow {
    const sock = new VsockSock(type);
    sock.bufferMaxSize = sock.bufferSize = bufferSize;
    const port = 1 + this.#flows.size;
    sock.local = { cid: VMADDR_CID_HOST, port };
    sock.remote = { cid: GUEST_CID, port };
    sock.carrier = this.rx;
    attach(sock);
    sock.state = "established";
    sock.ss = "connected";
    sock.credit.learn(0xffff_ffff, 0);
    const flow = new RxFlow(this, sock);
    this.#flows.set(port, flow);
    return flow;
  }

  /** Posts up to `count` buffers of `length` bytes. */
  post(length: number, count: number): void {
    for (let i = 0; i < count && this.#free.length > 0; i++) {
      const address = this.#free.pop()!;
      this.#posted.set(this.#driver.stage([{ address, length, writable: true }])!, address);
    }
    this.#driver.publish();
  }

  /** What a device does at the end of a turn, and then the guest: it takes what has come. */
  flush(): void {
    this.rx.renew();
    this.rx.flush();
    this.rx.publish();
    this.rx.shareRoom();
    this.rx.giveRoom((bytes, least) => this.stack.tellRoom(this.rx, bytes, least));
    for (let used; (used = this.#driver.getUsed()) !== undefined;) {
      const address = this.#posted.get(used.head)!;
      this.#take(this.#memory.slice(address, address + used.length));
      this.#free.push(address);
    }
  }

  #take(bytes: Uint8Array): void {
    const { op, len, flags, dstPort } = decodeHeader(view(bytes))!;
    assertEquals(len, bytes.length - HEADER_SIZE);
    this.ops.add(op);
    if (op === VIRTIO_VSOCK_OP_RW) {
      this.#flows.get(dstPort)!.got(bytes.subarray(HEADER_SIZE), flags);
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
