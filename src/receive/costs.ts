/**
 * What a wake-up costs by copy and by mapping, as measured in this process.
 *
 * @module
 */

/** The two ways to take what is queued. */
export type Way = "copy" | "map";

/** What the next dequeue is to do. */
export interface Choice {
  /** Which way to take. */
  readonly way: Way;
  /** Whether to measure it: then {@linkcode Costs.note} is to follow. */
  readonly measured: boolean;
}

/** What one size of wake-ups costs, for {@linkcode receiveCosts}. */
export interface ReceiveCost {
  /** What carries the bytes: `"loopback"`, `"vsock"`, `"tcp"`. */
  readonly carrier: string;
  /** Wake-ups with at least this many bytes, and less than twice as many. */
  readonly bytes: number;
  /** Nanoseconds for each KiB by copy; `undefined` where it was not measured. */
  readonly copyNsPerKib: number | undefined;
  /** Nanoseconds for each KiB by mapping; `undefined` where it was not measured. */
  readonly mapNsPerKib: number | undefined;
  /** What `"auto"` does now. */
  readonly way: "copy" | "map";
}

/** How many of its latest measurements a cost is the median of: one that was disturbed is none. */
const SAMPLES = 3;
/** The way that is taken is left for one that takes at most this part of its time. */
const HYSTERESIS = 0.9;
/** The way that is taken is measured once in so many wake-ups: a look at the clock costs too. */
const MEASURE_EVERY = 16;
/** The other way is tried as often as its measurements are many, at least once in so many. */
const TRY_EVERY = 256;

/** The latest costs of one way, in nanoseconds for each byte. */
class Samples {
  readonly #latest: number[] = [];

  add(cost: number): void {
    if (this.#latest.unshift(cost) > SAMPLES) this.#latest.pop();
  }

  /** Whether there are enough to compare. */
  get enough(): boolean {
    return this.#latest.length === SAMPLES;
  }

  /** The middle one; `undefined` where there is none. */
  get median(): number | undefined {
    return this.#latest.toSorted((a, b) => a - b)[this.#latest.length >> 1];
  }
}

/** Wake-ups of one size. */
class Size {
  readonly samples: Readonly<Record<Way, Samples>> = { copy: new Samples(), map: new Samples() };
  way: Way = "copy";
  #count = 0;

  choose(): Choice {
    const count = ++this.#count;
    const other = this.way === "copy" ? "map" : "copy";
    for (const way of [this.way, other] as const) {
      if (!this.samples[way].enough) return { way, measured: true };
    }
    const tries = count % TRY_EVERY === 0 || (count < TRY_EVERY && (count & (count - 1)) === 0);
    if (tries) return { way: other, measured: true };
    return count % MEASURE_EVERY === 0 ? MEASURED[this.way] : BLIND[this.way];
  }

  note(way: Way, cost: number): void {
    this.samples[way].add(cost);
    const other = this.way === "copy" ? "map" : "copy";
    const [now, then] = [this.samples[this.way], this.samples[other]];
    if (!now.enough || !then.enough) return;
    if (then.median! < now.median! * HYSTERESIS) this.way = other;
  }
}

const MEASURED: Readonly<Record<Way, Choice>> = {
  copy: { way: "copy", measured: true },
  map: { way: "map", measured: true },
};
const BLIND: Readonly<Record<Way, Choice>> = {
  copy: { way: "copy", measured: false },
  map: { way: "map", measured: false },
};

/** The costs of one carrier, by the bytes of a wake-up in powers of two. */
export class Costs {
  readonly #sizes: Size[] = Array.from({ length: 32 }, () => new Size());

  /** How to take about `bytes` bytes. */
  choose(bytes: number): Choice {
    return this.#sizeOf(bytes).choose();
  }

  /** About `expected` bytes were chosen for, and `bytes` came, by `way`, in `ns` nanoseconds. */
  note(expected: number, way: Way, bytes: number, ns: number): void {
    this.#sizeOf(expected).note(way, ns / bytes);
  }

  /** What has been measured, the smallest size first. */
  *report(carrier: string): Generator<ReceiveCost, void, void> {
    for (const [power, { samples, way }] of this.#sizes.entries()) {
      const [copy, map] = [samples.copy.median, samples.map.median];
      if (copy === undefined && map === undefined) continue;
      const [copyNsPerKib, mapNsPerKib] = [copy, map].map((cost) => cost && cost * 1024);
      yield { carrier, bytes: 2 ** power, copyNsPerKib, mapNsPerKib, way };
    }
  }

  #sizeOf(bytes: number): Size {
    return this.#sizes[31 - Math.clz32(Math.max(1, bytes))]!;
  }
}

const costs: Map<string, Costs> = new Map();

/** The costs of `carrier`, the same for all receivers of this thread. */
export function costsOf(carrier: string): Costs {
  const known = costs.get(carrier);
  if (known !== undefined) return known;
  const made = new Costs();
  costs.set(carrier, made);
  return made;
}

/**
 * What receivers in mode `"auto"` of this thread have measured so far, by carrier and size: nothing
 * before they have received.
 */
export function receiveCosts(): ReceiveCost[] {
  return Array.from(costs).flatMap(([carrier, each]) => Array.from(each.report(carrier)));
}
