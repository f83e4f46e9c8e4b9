/** No order of the steps of driver and device loses a kick, a call or a chain. */
import { test } from "node:test";
import { assertGreater, assertLess, assertThrows } from "@std/assert";
import { everyChoice, type Plan, Schedule, SteppedRing } from "./virtqueue_schedules.ts";

const LIMIT = 150_000;
const ALL = 1_000;
const TIMEOUT = { timeout: 120_000 };

/** `[size, chains, batch, switches]` */
const PLANS: readonly (readonly [number, number, number, number])[] = [
  [1, 1, 1, ALL],
  [1, 3, 1, 4],
  [2, 3, 1, 4],
  [2, 4, 2, 3],
  [4, 6, 1, 3],
  [4, 6, 4, 3],
];

/** Runs `plan` in every order: how many those are. */
function explore(plan: Plan): number {
  return everyChoice(LIMIT, (choose) => new Schedule(plan, choose).run());
}

for (const eventIdx of [false, true]) {
  const mode = eventIdx ? "by index" : "by flags";
  for (const [size, chains, batch, switches] of PLANS) {
    const orders = switches === ALL ? "every order" : `every order with ${switches} interruptions`;
    const what = `size ${size}, batches of ${batch} and chains up to ${chains}`;

    test(`Virtqueue loses nothing in ${orders}: ${what}, ${mode}`, TIMEOUT, () => {
      const runs = explore({ size, chains, batch, switches, eventIdx, base: 65_534 });
      assertGreater(runs, 1_000);
      assertLess(runs, LIMIT); // all were run
    });
  }
}

/** Does not look again after it has asked for kicks. */
class NoRecheck extends SteppedRing {
  #idx: number | undefined;
  #asked = false;

  override loadAvailIdx(): number {
    if (!this.#asked || this.#idx === undefined) this.#idx = super.loadAvailIdx();
    this.#asked = false;
    return this.#idx;
  }

  override storeUsedFlags(flags: number): void {
    super.storeUsedFlags(flags);
    this.#asked = flags === 0;
  }

  override storeAvailEvent(idx: number): void {
    super.storeAvailEvent(idx);
    this.#asked = true;
  }
}

/** Asks for kicks when it has looked again: what a CPU does without a fence. */
class LateAsking extends SteppedRing {
  #late: (() => void) | undefined;

  override loadAvailIdx(): number {
    const idx = super.loadAvailIdx();
    this.#late?.();
    this.#late = undefined;
    return idx;
  }

  override storeUsedFlags(flags: number): void {
    if (flags === 0) this.#late = () => super.storeUsedFlags(0);
    else super.storeUsedFlags(flags);
  }

  override storeAvailEvent(idx: number): void {
    this.#late = () => super.storeAvailEvent(idx);
  }
}

/** Reads what the driver waits for before it stores `used.idx`: likewise. */
class EarlyEvent extends SteppedRing {
  #event = 0;
  #flags = 0;

  override storeUsedIdx(idx: number): void {
    this.#event = super.loadUsedEvent();
    this.#flags = super.loadAvailFlags();
    super.storeUsedIdx(idx);
  }

  override loadUsedEvent(): number {
    return this.#event;
  }

  override loadAvailFlags(): number {
    return this.#flags;
  }
}

for (
  const [ring, what] of [
    [NoRecheck, "does not look again after it has asked for kicks"],
    [LateAsking, "asks for kicks after it has looked again"],
    [EarlyEvent, "reads used_event and avail.flags before it stores used.idx"],
  ] as const
) {
  for (const eventIdx of [false, true]) {
    const mode = eventIdx ? "by index" : "by flags";
    test(`Schedule finds out a device that ${what}, ${mode}`, TIMEOUT, () => {
      const plan = { size: 2, chains: 3, batch: 1, switches: 4, eventIdx, base: 65_534, ring };
      assertThrows(() => explore(plan), Error, "both sleep: a kick or a call was lost");
    });
  }
}
