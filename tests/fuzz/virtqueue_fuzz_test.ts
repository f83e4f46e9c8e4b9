/**
 * A driver that writes whatever it likes, wherever it likes, against the device's side. Whatever
 * comes out is what the rules of virtio make of the memory, by a model of them: that chain, or
 * VirtqueueError. `VSOCKIT_SEED` replays a run, `VSOCKIT_STEPS` makes it longer.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertLess } from "@std/assert";
import { seeded } from "../../src/loopback/random.ts";
import { type Chain, VirtqueueError } from "../../src/virtio/chain.ts";
import { Virtqueue, type VirtqueueOptions } from "../../src/virtio/virtqueue.ts";
import { ringIn, view, writeDesc } from "../unit/virtio/virtqueue_driver.ts";
import { type Guest, model } from "./virtqueue_model.ts";

const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const STEPS = Number(process.env["VSOCKIT_STEPS"] ?? 200_000);
const MEMORY = 4096;
const MIB = 1024 * 1024;
const [U16, NEXT, WRITE, INDIRECT] = [0xffff, 1, 2, 4];
const SIZES = [1, 2, 4, 8, 16, 64];

/** One virtqueue after the other in the same guest memory, each until it is broken. */
class Fuzz {
  readonly counts = {
    chains: 0,
    buffers: 0,
    tables: 0,
    broken: 0,
    pushed: 0,
    calls: 0,
    refused: 0,
  };
  readonly #random: () => number;
  readonly #bytes: Uint8Array = new Uint8Array(MEMORY);
  readonly #memory: DataView = view(this.#bytes);
  readonly #before: Uint8Array = new Uint8Array(MEMORY);
  #options!: VirtqueueOptions;
  #queue!: Virtqueue;
  #guest!: Guest;
  /** Popped; and of those that were pushed, the heads that were not published. */
  #held: Chain[] = [];
  readonly #staged: Set<number> = new Set();
  /** Bytes asked of guest memory in the call that runs. */
  #asked = 0;
  /** Where the parts are. */
  #availAt = 0;
  #usedAt = 0;
  #usedEnd = 0;
  /** Where the device goes on. */
  #usedIdx = 0;
  #tablesAt = 0;

  constructor(seed: number) {
    this.#random = seeded(seed);
    this.#open();
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  step(): void {
    if (this.#queue.broken !== undefined && this.below(8) === 0) this.#open();
    if (this.below(2) === 0) this.#attack();
    else this.#use();
  }

  #open(): void {
    const size = SIZES[this.below(SIZES.length)]!;
    const parts = ringIn(this.#bytes, size, 16 * this.below(4));
    [this.#availAt, this.#usedAt] = [parts.avail.byteOffset, parts.used.byteOffset];
    [this.#usedEnd, this.#tablesAt] = [parts.end, (parts.end + 15) & ~15];
    if (this.below(2) === 0) this.#bytes.fill(0);
    const [indirect, base] = [this.below(4) > 0, this.below(2) === 0 ? 0 : this.below(U16 + 1)];
    if (this.below(8) > 0) this.#setAvailIdx(base);
    const memory = { bytes: this.#lookUp.bind(this) };
    this.#options = { ...parts, memory, indirect, eventIdx: this.below(2) === 0, base };
    this.#queue = new Virtqueue(this.#options);
    this.#usedIdx = this.#memory.getUint16(this.#usedAt + 2, true);
    this.#guest = { memory: this.#memory, desc: parts.desc.byteOffset, size, indirect };
    this.#held = [];
    this.#staged.clear();
  }

  #lookUp(gpa: number, length: number): Uint8Array | undefined {
    assert(Number.isSafeInteger(gpa + length) && gpa >= 0 && length > 0, `${gpa} ${length}`);
    this.#asked += length;
    return gpa + length <= MEMORY ? this.#bytes.subarray(gpa, gpa + length) : undefined;
  }

  get #availIdx(): number {
    return this.#memory.getUint16(this.#availAt + 2, true);
  }

  #setAvailIdx(idx: number): void {
    this.#memory.setUint16(this.#availAt + 2, idx & U16, true);
  }

  // The driver.

  #attack(): void {
    const { size } = this.#options;
    const kind = this.below(32);
    if (kind < 22) this.#add();
    else if (kind < 26) this.#corrupt();
    else if (kind < 28) this.#bytes[this.below(MEMORY)] = this.below(256);
    else if (kind === 28) {
      this.#memory.setUint16(this.#availAt + 4 + 2 * this.below(size), this.#index(size), true);
    } else if (kind === 29) this.#memory.setUint16(this.#availAt, this.below(3), true);
    else if (kind === 30) {
      this.#memory.setUint16(this.#availAt + 4 + 2 * size, this.below(U16 + 1), true);
    } else if (this.below(8) === 0) {
      this.#setAvailIdx(this.#availIdx + this.below(size + 3) - this.below(2));
    }
  }

  /** Makes a chain available that is right, or nearly. */
  #add(): void {
    const { size, indirect, desc } = this.#options;
    const ahead = (this.#availIdx - this.#queue.lastAvail) & U16;
    if (ahead + this.#queue.inFlight >= size && this.below(64) > 0) return;
    const free = Array.from({ length: size }, (_, index) => index)
      .filter((at) => !this.#isBusy(at));
    const head = free[this.below(free.length)] ?? 0;
    const [table, count] = [indirect && this.below(3) === 0, 1 + this.below(Math.min(size, 5))];
    if (table) {
      const at = Math.min(this.#tablesAt + 16 * this.below(8), MEMORY - 16 * count);
      this.#write(at, Array.from({ length: count }, (_, index) => index));
      writeDesc(view(desc), head, at, 16 * count, INDIRECT, 0);
    } else {
      const rest = free.filter((at) => at !== head);
      const at = this.below(rest.length);
      this.#write(desc.byteOffset, [head, ...rest.slice(at, at + count - 1)]);
    }
    const slot = this.#availIdx & (size - 1);
    this.#memory.setUint16(this.#availAt + 4 + 2 * slot, head, true);
    this.#setAvailIdx(this.#availIdx + 1);
  }

  #write(table: number, indices: readonly number[]): void {
    const first = this.below(indices.length + 1);
    const descs = view(this.#bytes.subarray(table));
    indices.forEach((index, at) => {
      const next = indices[at + 1];
      const flags = (at < first ? 0 : WRITE) | (next === undefined ? 0 : NEXT);
      writeDesc(descs, index, this.#address(), this.#length(), flags, next ?? 0);
    });
  }

  /** One field of a descriptor, anywhere, is another one. */
  #corrupt(): void {
    const { size, desc } = this.#options;
    const tables = this.#tablesAt + 16 * this.below(8);
    const at = this.below(2) === 0 ? desc.byteOffset + 16 * this.below(size) : tables;
    const kind = this.below(4);
    if (kind === 0) this.#memory.setBigUint64(at, BigInt(this.#address()), true);
    else if (kind === 1) this.#memory.setUint32(at + 8, this.#length(), true);
    else if (kind === 2) this.#memory.setUint16(at + 12, this.below(9), true);
    else this.#memory.setUint16(at + 14, this.#index(size), true);
  }

  #address(): number | bigint {
    const edges = [0, MEMORY - 16, 2 ** 32 - 1, 2 ** 53 - 1, 2n ** 53n, 2n ** 64n - 1n];
    if (this.below(64) === 0) return edges[this.below(edges.length)]!;
    return this.below(2) === 0 ? this.below(MEMORY) : this.below(2 ** 40);
  }

  #length(): number {
    const edges = [0, 1, 16, 24, 32, 2 ** 31, 2 ** 32 - 1];
    return this.below(8) === 0 ? edges[this.below(edges.length)]! : this.below(65_536);
  }

  #index(size: number): number {
    return this.below(16) === 0 ? this.below(U16 + 1) : this.below(size + 1);
  }

  // The device.

  #use(): void {
    this.#before.set(this.#bytes);
    this.#asked = 0;
    const kind = this.below(16);
    if (kind < 8) this.#take();
    else if (kind < 11) this.#push();
    else if (kind === 11) this.#pushWrong();
    else if (kind < 14) this.#publish();
    else if (kind === 14) this.#queue.disableKicks();
    else this.#enable();
    this.#checkMemory();
    const { size } = this.#options;
    assert(this.#queue.inFlight <= size, "more are in flight than there are");
    assert(this.#asked <= 16 * size, "it looks at more than one table");
  }

  /** The result of `call`, or the error, which must be the one that is remembered. */
  #guarded<T>(call: () => T): T | VirtqueueError {
    try {
      return call();
    } catch (error) {
      assert(error instanceof VirtqueueError, `seed ${SEED}: ${error}`);
      assert(error === this.#queue.broken, "another error is remembered");
      return error;
    }
  }

  #take(): void {
    const [was, { lastAvail, size }] = [this.#queue.broken, this.#queue];
    const slot = this.#availAt + 4 + 2 * (lastAvail & (size - 1));
    const head = this.#memory.getUint16(slot, true);
    const expected = model(this.#guest, head);
    const taken = this.#guarded(() => this.#queue.pop());
    if (taken === undefined) return;
    if (taken instanceof VirtqueueError) return this.#checkBroken(taken, was, head, expected);
    assertEquals(taken.head, head);
    assertEquals(taken.segments, expected);
    assert(!this.#isBusy(head), "it is in flight");
    this.#checkSums(taken);
    this.#held.push(taken);
    this.counts.chains++;
    this.counts.buffers += taken.segments.length;
    this.counts.tables += Number(this.#asked > 0);
  }

  #checkSums({ segments, readable, writable }: Chain): void {
    const sum = (wanted: boolean): number =>
      segments.reduce((sum, one) => one.writable === wanted ? sum + one.length : sum, 0);
    assertEquals([sum(false), sum(true)], [readable, writable]);
    assert(segments.length <= this.#options.size, "a chain is longer than the queue");
  }

  #isBusy(head: number): boolean {
    return this.#held.some((chain) => chain.head === head) || this.#staged.has(head);
  }

  get #hasJumped(): boolean {
    return ((this.#availIdx - this.#queue.lastAvail) & U16) > this.#options.size;
  }

  #enable(): void {
    const was = this.#queue.broken;
    const more = this.#guarded(() => this.#queue.enableKicks());
    if (was !== undefined) return assert(more === was, "it is broken by something else");
    const expected = this.#availIdx !== this.#queue.lastAvail;
    if (this.#hasJumped) assert(more === this.#queue.broken, "it has jumped");
    else assertEquals(more, expected);
  }

  #checkBroken(
    error: VirtqueueError,
    was: VirtqueueError | undefined,
    head: number,
    expected: unknown,
  ): void {
    if (was !== undefined) return assert(error === was, "it is broken by something else");
    this.counts.broken++;
    const excused = expected === undefined || this.#hasJumped || this.#isBusy(head);
    assert(excused, `seed ${SEED}: refused for nothing: ${error}`);
  }

  #push(): void {
    if (this.#held.length === 0) return;
    const [chain] = this.#held.splice(this.below(this.#held.length), 1);
    const { head, writable } = chain!;
    const written = this.below(Math.min(writable, 2 ** 32 - 1) + 1);
    this.#queue.push(head, written);
    const slot = (this.#usedIdx + this.#staged.size) & (this.#options.size - 1);
    const at = this.#usedAt + 4 + 8 * slot;
    const element = [this.#memory.getUint32(at, true), this.#memory.getUint32(at + 4, true)];
    assertEquals(element, [head, written]);
    this.#staged.add(head);
    this.counts.pushed++;
  }

  #publish(): void {
    this.counts.calls += Number(this.#queue.publish());
    this.#usedIdx = (this.#usedIdx + this.#staged.size) & U16;
    if (this.#staged.size > 0) {
      assertEquals(this.#memory.getUint16(this.#usedAt + 2, true), this.#usedIdx);
    }
    this.#staged.clear();
    assertEquals(this.#queue.inFlight, this.#held.length);
  }

  /** What is a mistake of the device is told as one, and changes nothing. */
  #pushWrong(): void {
    const head = this.below(this.#options.size + 2) - 1;
    const chain = this.#held.find((chain) => chain.head === head);
    try {
      this.#queue.push(head, chain === undefined ? 0 : chain.writable + 1);
    } catch (error) {
      assert(error instanceof (chain === undefined ? TypeError : RangeError), String(error));
      this.counts.refused++;
      return;
    }
    assert(false, "it was pushed");
  }

  /** Nothing but the used ring has been written to. */
  #checkMemory(): void {
    for (const [from, to] of [[0, this.#usedAt], [this.#usedEnd, MEMORY]] as const) {
      const same = Buffer.compare(this.#bytes.subarray(from, to), this.#before.subarray(from, to));
      assertEquals(same, 0);
    }
  }
}

test(
  `Virtqueue takes what is a chain, and breaks by what is none (seed ${SEED})`,
  { timeout: 60_000 + STEPS },
  () => {
    console.log(`replay: VSOCKIT_SEED=${SEED} VSOCKIT_STEPS=${STEPS}`);
    const fuzz = new Fuzz(SEED);
    const before = process.memoryUsage().rss;
    for (let left = STEPS; left > 0; left--) fuzz.step();
    assertLess((process.memoryUsage().rss - before) / MIB, 512);
    console.log(JSON.stringify(fuzz.counts));
    if (STEPS < 100_000) return;
    for (const [what, count] of Object.entries(fuzz.counts)) {
      assert(count > STEPS / 2_000, `too few to tell: ${what} is ${count}`);
    }
  },
);
