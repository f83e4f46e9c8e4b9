/** Both sides of a virtqueue, in memory of their own. */
import type { GuestMemory } from "../../../src/virtio/chain.ts";
import { SplitRing } from "../../../src/virtio/split_ring.ts";
import { Virtqueue, type VirtqueueOptions } from "../../../src/virtio/virtqueue.ts";
import { Driver, ringIn } from "./virtqueue_driver.ts";

/** Where the tables begin, for the driver and the device. */
const TABLES = 0x10_0000;

export interface PairOptions {
  readonly size: number;
  /** @default {true} */
  readonly eventIdx?: boolean;
  /** @default {true} */
  readonly indirect?: boolean;
  /** @default {0} */
  readonly base?: number;
  /** What the device reaches the shared words by. @default {SplitRing} */
  readonly ring?: (options: VirtqueueOptions) => SplitRing;
}

/** Made by {@linkcode pair}. */
export interface Pair {
  readonly driver: Driver;
  readonly queue: Virtqueue;
  readonly options: VirtqueueOptions;
  /** All words of the available ring and of the used ring. */
  readonly avail: Uint16Array;
  readonly used: Uint16Array;
  /** Guest memory, where the indirect tables are. */
  readonly tables: { readonly bytes: Uint8Array; readonly address: number };
  /** The device's calls of `GuestMemory.bytes()`. */
  readonly asked: (readonly [gpa: number, length: number])[];
  /** One `struct vring_desc`. */
  descAt(index: number): DataView;
  /** A second device on the same memory. */
  reopen(base: number): Virtqueue;
}

/** A driver and a device at work on the same virtqueue. */
export function pair(choice: PairOptions): Pair {
  const { size, eventIdx = true, indirect = true, base = 0 } = choice;
  const { ring = (options: VirtqueueOptions) => new SplitRing(options) } = choice;
  const parts = ringIn(new Uint8Array(64 + 32 * size), size);
  const tables = { bytes: new Uint8Array(16 * size * size), address: TABLES };
  const driver = new Driver({ ...parts, eventIdx, base, tables });
  const asked: (readonly [number, number])[] = [];
  const memory: GuestMemory = {
    bytes(gpa, length): Uint8Array | undefined {
      asked.push([gpa, length]);
      const at = gpa - TABLES;
      const inside = at >= 0 && at + length <= tables.bytes.length;
      return inside ? tables.bytes.subarray(at, at + length) : undefined;
    },
  };
  const options: VirtqueueOptions = { ...parts, memory, eventIdx, indirect, base };
  const { desc, avail, used } = parts;
  return {
    driver,
    options,
    queue: new Virtqueue(options, ring(options)),
    avail: new Uint16Array(avail.buffer, avail.byteOffset, avail.length / 2),
    used: new Uint16Array(used.buffer, used.byteOffset, used.length / 2),
    tables,
    asked,
    descAt: (index) => new DataView(desc.buffer, desc.byteOffset + 16 * index, 16),
    reopen: (base) => new Virtqueue({ ...options, base }),
  };
}
