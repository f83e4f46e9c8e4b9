/**
 * The driver and the device as two threads whose every access to a shared word is a step, and all
 * orders of the steps, one after the other.
 */
import { type RingMemory, SplitRing } from "../../../src/virtio/split_ring.ts";
import type { Virtqueue } from "../../../src/virtio/virtqueue.ts";
import type { Driver } from "./virtqueue_driver.ts";
import { pair } from "./virtqueue_pair.ts";

/**
 * Calls `run` with every sequence of choices that it asks for, up to `limit`: how many those are.
 */
export function everyChoice(limit: number, run: (choose: () => boolean) => void): number {
  let trail: boolean[] = [];
  for (let runs = 1;; runs++) {
    let at = 0;
    run(() => {
      if (at === trail.length) trail.push(false);
      return trail[at++]!;
    });
    trail = trail.slice(0, trail.lastIndexOf(false) + 1);
    if (trail.length === 0 || runs === limit) return runs;
    trail[trail.length - 1] = true;
  }
}

/** What the two do, and how often they may be interrupted. */
export interface Plan {
  readonly size: number;
  readonly eventIdx: boolean;
  /** Chains in all. */
  readonly chains: number;
  /** Chains that the device pushes before it publishes. */
  readonly batch: number;
  /** Where the indices begin. */
  readonly base: number;
  /** How often a thread is interrupted where it could go on: all orders if it is large enough. */
  readonly switches: number;
  /** The device's accesses. @default {SteppedRing} */
  readonly ring?: typeof SteppedRing;
}

/** Calls `step` before each access. */
export class SteppedRing extends SplitRing {
  readonly #step: () => void;

  constructor(memory: RingMemory, step: () => void) {
    super(memory);
    this.#step = step;
  }

  override loadAvailIdx(): number {
    this.#step();
    return super.loadAvailIdx();
  }

  override loadAvailFlags(): number {
    this.#step();
    return super.loadAvailFlags();
  }

  override loadUsedEvent(): number {
    this.#step();
    return super.loadUsedEvent();
  }

  override head(index: number): number {
    this.#step();
    return super.head(index);
  }

  override storeUsed(index: number, id: number, len: number): void {
    this.#step();
    super.storeUsed(index, id, len);
  }

  override storeUsedIdx(idx: number): void {
    this.#step();
    super.storeUsedIdx(idx);
  }

  override storeUsedFlags(flags: number): void {
    this.#step();
    super.storeUsedFlags(flags);
  }

  override storeAvailEvent(idx: number): void {
    this.#step();
    super.storeAvailEvent(idx);
  }
}

/** One run of a plan, in one order of steps. */
export class Schedule {
  readonly #plan: Plan;
  readonly #choose: () => boolean;
  readonly #driver: Driver;
  readonly #queue: Virtqueue;
  readonly #steps: Generator<void, void, void>;
  #switches: number;
  #kicked = false;
  #called = false;
  #driverSleeps = false;
  #done = false;
  #popped = 0;

  constructor(plan: Plan, choose: () => boolean) {
    this.#plan = plan;
    this.#choose = choose;
    this.#switches = 0; // while the two are made
    const { ring: Ring = SteppedRing } = plan;
    const step = (): void => {
      if (this.#mayInterrupt()) this.#runDriver();
    };
    const { driver, queue } = pair({ ...plan, ring: (memory) => new Ring(memory, step) });
    this.#driver = driver;
    this.#queue = queue;
    this.#steps = this.#drive();
    this.#switches = plan.switches;
  }

  /** Runs it to its end; an Error if a kick, a call or a chain was lost, or came twice. */
  run(): void {
    if (this.#mayInterrupt()) this.#runDriver();
    this.#runDevice();
    while (!this.#done) {
      if (this.#kicked && !this.#mayInterrupt()) {
        this.#kicked = false;
        this.#runDevice();
      } else if (this.#driverCan()) this.#stepDriver();
      else throw new Error("both sleep: a kick or a call was lost");
    }
    const { outstanding } = this.#driver;
    if (outstanding !== 0 || this.#queue.inFlight !== 0) throw new Error("chains are missing");
  }

  /** The device, from when it wakes to when it sleeps. */
  #runDevice(): void {
    const queue = this.#queue;
    do {
      queue.disableKicks();
      let pushed = 0;
      for (let chain; (chain = queue.pop()) !== undefined;) {
        if (chain.writable !== ++this.#popped) throw new Error("a chain was popped out of order");
        queue.push(chain.head, chain.writable);
        if (++pushed % this.#plan.batch === 0) this.#publish();
      }
      this.#publish();
    } while (queue.enableKicks());
  }

  #publish(): void {
    if (this.#queue.publish()) this.#called = true;
  }

  /** The driver: a step ends before each access. It adds all it can, and sleeps when it has to. */
  *#drive(): Generator<void, void, void> {
    const [driver, { chains }] = [this.#driver, this.#plan];
    for (let added = 0, got = 0; got < chains;) {
      while (added < chains && driver.free > 0) {
        driver.add([{ address: 0, length: ++added, writable: true }]);
        yield;
        if (driver.kickNeeded()) this.#kicked = true;
        yield;
      }
      for (let used; (used = driver.getUsed()) !== undefined;) {
        if (used.length !== ++got) throw new Error("a chain came back out of order");
        yield;
      }
      if (got === chains || added < chains && driver.free > 0) continue;
      yield;
      driver.allowCalls();
      yield;
      if (!driver.hasUsed()) {
        this.#driverSleeps = true;
        yield;
      }
      driver.disableCalls();
      yield;
    }
  }

  #driverCan(): boolean {
    return !this.#done && (!this.#driverSleeps || this.#called);
  }

  #stepDriver(): void {
    if (this.#driverSleeps) this.#called = this.#driverSleeps = false;
    if (this.#steps.next().done === true) this.#done = true;
  }

  /** The driver has interrupted the device, until it is interrupted itself, or sleeps. */
  #runDriver(): void {
    do this.#stepDriver(); while (this.#driverCan() && !this.#mayInterrupt());
  }

  #mayInterrupt(): boolean {
    if (!this.#driverCan() || this.#switches === 0 || !this.#choose()) return false;
    this.#switches--;
    return true;
  }
}
