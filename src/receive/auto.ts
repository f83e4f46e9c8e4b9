/**
 * Receive by whichever way is cheaper for as much as is queued: copying or mapping.
 *
 * @module
 */
import { isSysError } from "../../ffi/errno.ts";
import { VsockError } from "../error.ts";
import { type Choice, type Costs, costsOf } from "./costs.ts";
import type { Lender, LentBatch } from "./lent_batch.ts";
import type { Source } from "./source.ts";
import { readingMs } from "./clock.ts";

/** For a wake-up that cannot be mapped. */
const COPY: Choice = { way: "copy", measured: false };

/**
 * Takes each wake-up by copy or by mapping, as their costs here and now say. It expects as much as
 * came last time, and at least `SO_RCVLOWAT`, since no transport tells for free what is queued.
 * Owns both sources, which are of one STREAM socket.
 */
export class AutoSource implements Source {
  readonly mapped = true;
  readonly spins: boolean;
  readonly #copy: Source;
  readonly #map: Source;
  readonly #costs: Costs;
  #expected: number;
  #last: Source | undefined;
  #broken: unknown;

  /** `carrier` is whose costs count; `expected` is how much the first wake-up will bring. */
  constructor(copy: Source, map: Source, carrier: string, expected: number) {
    this.spins = map.spins;
    this.#copy = copy;
    this.#map = map;
    this.#costs = costsOf(carrier);
    this.#expected = expected;
  }

  readable(): boolean {
    return this.#map.readable();
  }

  dequeue(): LentBatch | null | undefined {
    if (this.#broken !== undefined) throw this.#broken;
    const choice = this.#costs.choose(this.#expected);
    try {
      return this.#dequeueBy(choice);
    } catch (error) {
      // There is no memory to map into now, or none any more, as a view was transferred away.
      const copies = isSysError(error, "ENOMEM") || isSysError(error, "EINVAL");
      if (choice.way === "map" && copies) return this.#dequeueBy(COPY);
      // The other way would go on behind what this one lost; who was refused has lost nothing.
      if (error instanceof VsockError) this.#broken = error;
      throw error;
    }
  }

  #dequeueBy(choice: Choice): LentBatch | null | undefined {
    const source = choice.way === "copy" ? this.#copy : this.#map;
    if (source !== this.#last) this.#last?.discardStale?.();
    this.#last = source;
    const batch = choice.measured ? this.#dequeueMeasured(source, choice) : source.dequeue();
    if (batch) this.#expected = batch.byteLength;
    return batch;
  }

  #dequeueMeasured(source: Source, { way }: Choice): LentBatch | null | undefined {
    const start = performance.now();
    const batch = source.dequeue();
    const ms = performance.now() - start - readingMs();
    if (!batch) return batch;
    const [expected, { byteLength }] = [this.#expected, batch];
    batch.interpose((lender) =>
      new TimedLender(lender, (lentMs) => {
        this.#costs.note(expected, way, byteLength, Math.max(1, (ms + lentMs) * 1e6));
      })
    );
    return batch;
  }

  close(): void {
    try {
      this.#copy.close();
    } finally {
      this.#map.close();
    }
  }
}

/**
 * Tells how long lending took and taking back. Of the loans the first, second, fourth, eighth and
 * so on are timed, and stand for all: two looks at the clock for each would count as if they were
 * the lender's, and the first alone costs less than most.
 */
class TimedLender implements Lender {
  readonly volatile: boolean;
  readonly #lender: Lender;
  readonly #done: (ms: number) => void;
  #timedMs = 0;
  #timed = 0;
  #loans = 0;

  constructor(lender: Lender, done: (ms: number) => void) {
    this.volatile = lender.volatile;
    this.#lender = lender;
    this.#done = done;
  }

  lend(page: number, length: number): Uint8Array {
    const loans = ++this.#loans;
    if ((loans & (loans - 1)) !== 0) return this.#lender.lend(page, length);
    const start = performance.now();
    const view = this.#lender.lend(page, length);
    this.#timedMs += performance.now() - start - readingMs();
    this.#timed += 1;
    return view;
  }

  reclaim(): void {
    const start = performance.now();
    this.#lender.reclaim();
    const ms = performance.now() - start - readingMs();
    const lendMs = this.#timed === 0 ? 0 : this.#timedMs / this.#timed;
    this.#done(this.#loans * lendMs + ms);
  }
}
