/** A transmit ring without a device: what the guest puts on it, and which packets that makes. */
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_TYPE_STREAM,
} from "../../../ffi/abi/virtio_vsock.ts";
import type { GuestRam } from "../../../src/vhost_user/guest_ram.ts";
import { noCounters, TxReader } from "../../../src/vhost_user/guest_tx.ts";
import { VirtqueueError } from "../../../src/virtio/chain.ts";
import { encodeHeader, HEADER_SIZE, type Packet } from "../../../src/virtio/packet.ts";
import { Virtqueue } from "../../../src/virtio/virtqueue.ts";
import { Driver, ringIn, view } from "../virtio/virtqueue_driver.ts";

const SIZE = 16;

/** A transmit ring, and what has come out of it. */
class Rig {
  readonly got: Packet[] = [];
  readonly reader: TxReader;
  readonly driver: Driver;
  readonly #memory = new Uint8Array(4_096);

  constructor() {
    const parts = ringIn(new Uint8Array(64 + 32 * SIZE), SIZE);
    this.driver = new Driver({ ...parts, eventIdx: true });
    const memory = {
      bytes: (at: number, length: number) => this.#memory.subarray(at, at + length),
    };
    const queue = new Virtqueue({ ...parts, memory, eventIdx: true, indirect: false, base: 0 });
    this.reader = new TxReader(queue, false, noCounters(), {
      ram: memory as unknown as GuestRam,
      accepts: () => true,
      maps: () => false,
      deliver: (packet) => void this.got.push(packet),
      gaveBack: () => {},
    });
  }

  /** The guest sends the first `length` bytes of a packet of `op` that says it has `len`. */
  send(op: number, len: number, length: number, writable: boolean = false): void {
    encodeHeader({
      srcCid: 3,
      dstCid: 2,
      srcPort: 4,
      dstPort: 5,
      type: VIRTIO_VSOCK_TYPE_STREAM,
      op,
      len,
      flags: 0,
      bufAlloc: 0,
      fwdCnt: 0,
    }, view(this.#memory));
    this.driver.stage([{ address: 0, length, writable }]);
    this.driver.publish();
    this.reader.take();
    this.reader.queue.publish();
  }

  /** The operations of what has come, with their bytes. */
  get packets(): (number | undefined)[][] {
    return this.got.map(({ op, payload }) => [op, payload?.bytes.length]);
  }
}

test("TxReader drops what has no whole header, whatever came before it", () => {
  const rig = new Rig();
  rig.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, HEADER_SIZE);
  for (const length of [HEADER_SIZE - 1, 1]) rig.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, length);
  assertEquals(rig.packets, [[VIRTIO_VSOCK_OP_CREDIT_UPDATE, undefined]]);
  const used = [1, 2, 3].map(() => rig.driver.getUsed()?.length);
  assertEquals(used, [0, 0, 0]);
});

test("TxReader drops what has fewer bytes than its header says, or bytes where there are none", () => {
  const rig = new Rig();
  rig.send(VIRTIO_VSOCK_OP_RW, 8, HEADER_SIZE + 8);
  rig.send(VIRTIO_VSOCK_OP_RW, 9, HEADER_SIZE + 8);
  rig.send(VIRTIO_VSOCK_OP_RW, 7, HEADER_SIZE + 8);
  rig.send(VIRTIO_VSOCK_OP_RW, 0xffff_ffff, HEADER_SIZE + 8);
  rig.send(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, HEADER_SIZE + 8);
  assertEquals(rig.packets, [[VIRTIO_VSOCK_OP_RW, 8], [VIRTIO_VSOCK_OP_RW, 7]]);
});

test("TxReader takes a buffer that is to be written for a broken ring", () => {
  const rig = new Rig();
  const sends = (): void => rig.send(VIRTIO_VSOCK_OP_RW, 8, HEADER_SIZE + 8, true);
  assertThrows(sends, VirtqueueError, "a buffer to send must be readable");
});
