/**
 * A guest that sends whatever a test has it send: the rings without a stack behind them.
 *
 * @module
 */
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../ffi/abi/virtio_vsock.ts";
import type { Segment } from "../../src/virtio/chain.ts";
import { decodeHeader, encodeHeader, type Header, HEADER_SIZE } from "../../src/virtio/packet.ts";
import { view } from "../unit/virtio/virtqueue_driver.ts";
import type { GuestRing } from "./guest_ring.ts";
import { Machine, type MachineOptions } from "./machine.ts";
import type { Block } from "./ram.ts";

/** Bytes of a receive buffer: room for a page. */
const RX_BUFFER = HEADER_SIZE + 4096;
const PORT = 7_000;
/** How much may be on its way at a time: so many packets, of a payload of 64 KiB and a page. */
const [SLOTS, SLOT] = [32, 0x1_1000];

/** The rings of a machine in which no driver runs. */
export class RawGuest implements Disposable {
  readonly machine: Machine;
  readonly rx: GuestRing;
  readonly tx: GuestRing;
  /** Memory that whatever is sent takes, in turn. */
  readonly #scratch: readonly Block[];
  #turn = 0;
  readonly #buffers: Map<number, Block> = new Map();

  private constructor(machine: Machine) {
    this.machine = machine;
    [this.rx, this.tx] = machine.rings;
    this.#scratch = Array.from({ length: SLOTS }, () => machine.ram.take(SLOT, 4096));
  }

  /** A guest with `buffers` receive buffers. The caller closes it. */
  static async start(options: MachineOptions, buffers = 64): Promise<RawGuest> {
    const machine = await Machine.powerOn(options);
    await machine.describe();
    await machine.enable();
    await machine.frontEnd.settled();
    const guest = new RawGuest(machine);
    for (let i = 0; i < buffers; i++) guest.post(machine.ram.take(RX_BUFFER));
    guest.rx.publish();
    return guest;
  }

  /** Stages a receive buffer. */
  post(block: Block): void {
    const { address, bytes: { length } } = block;
    const head = this.rx.driver.stage([{ address, length, writable: true }]);
    if (head === undefined) throw new RangeError("the receive ring is full");
    this.#buffers.set(head, block);
  }

  /** A header from this guest's port 7000 to the host, but for what `header` says. */
  header(header: Partial<Header>): Header {
    return {
      ...{ srcCid: this.machine.cid, srcPort: PORT, dstCid: 2, dstPort: 0, len: 0 },
      ...{ type: VIRTIO_VSOCK_TYPE_STREAM, op: 0, flags: 0, bufAlloc: 0x4_0000, fwdCnt: 0 },
      ...header,
    };
  }

  /** Memory for something to send, which is done with 32 packets later. */
  scratch(): Block {
    return this.#scratch[this.#turn++ % SLOTS]!;
  }

  /** Sends a packet, whose `len` is that of `data` unless `header` says else. */
  send(header: Partial<Header>, data: Uint8Array = new Uint8Array(0)): void {
    const { bytes, address } = this.scratch();
    this.write({ len: data.length, ...header }, data, bytes);
    this.sendChain([{ address, length: HEADER_SIZE + data.length, writable: false }]);
  }

  /** Writes a packet. */
  write(header: Partial<Header>, data: Uint8Array, into: Uint8Array): void {
    encodeHeader(this.header(header), view(into));
    into.set(data, HEADER_SIZE);
  }

  /** Sends whatever `segments` are about. */
  sendChain(segments: readonly Segment[], indirect = false): void {
    while (this.tx.driver.getUsed() !== undefined);
    if (this.tx.driver.stage(segments, indirect) === undefined) throw new RangeError("no room");
    this.tx.publish();
  }

  /** Waits until the device has given back all that was sent. */
  async taken(): Promise<void> {
    while (this.tx.driver.outstanding > 0) await this.tx.used();
  }

  /** Waits for a packet of the device, and posts its buffer again. */
  async next(): Promise<Header & { readonly data: Uint8Array }> {
    const { head, length } = await this.rx.used();
    const block = this.#buffers.get(head)!;
    this.#buffers.delete(head);
    const header = decodeHeader(view(block.bytes))!;
    const data = block.bytes.slice(HEADER_SIZE, length);
    this.post(block);
    this.rx.publish();
    return { ...header, data };
  }

  /** Connects to a port of the host, which accepts. */
  async connect(dstPort: number, header: Partial<Header> = {}): Promise<void> {
    this.send({ op: VIRTIO_VSOCK_OP_REQUEST, dstPort, ...header });
    const { op } = await this.next();
    if (op !== VIRTIO_VSOCK_OP_RESPONSE) throw new Error(`the answer is ${op}`);
  }

  /** Ends the machine. */
  close(): void {
    this.machine.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
