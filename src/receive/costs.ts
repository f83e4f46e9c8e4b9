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

/**
 * How long a way is tried before its costs count, in wake-ups or in nanoseconds, whichever is less:
 * until the runtime has compiled it, its cost is another one.
 */
const WARM = { wakeups: 2000, ns: 2e7 } as const;
/** How many of its latest measurements a cost is the median of. */
const SAMPLES = 8;
/** The way that is taken is left for one that takes at most this part of its time. */
const HYSTERESIS = 0.95;
/** Once in so many wake-ups both ways are tried: the other may cost many times as much. */
const TRY_EVERY = 4096;
/** For so many wake-ups: what has not run for a while is slow at first. The last are measured. */
const TRY = 32;

const MEASURED: Readonly<Record<Way, Choice>> = {
  copy: { way: "copy", measured: true },
  map: { way: "map", measured: true },
};
const BLIND: Readonly<Record<Way, Choice>> = {
  copy: { way: "copy", measured: false },
  map: { way: "map", measured: false },
};
const OTHER: Readonly<Record<Way, Way>> = { copy: "map", map: "copy" };

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

  /** The median; `undefined` where there is none. */
  get median(): number | undefined {
    return this.#latest.toSorted((a, b) => a - b)[this.#latest.length >> 1];
  }
}

/** Wake-ups of one size. */
class Size {
  readonly samples: Readonly<Record<Way, Samples>> = { copy: new Samples(), map: new Samples() };
  /** The way that is taken. */
  way: Way = "copy";
  #blind = BLIND.copy;
  /** Wake-ups until both ways are tried. */
  #left = 0;
  /** How many more of those that try them. */
  #tries = 2 * TRY;

  choose(): Choice {
    return this.#left-- > 0 ? this.#blind : this.#try();
  }

  /** The other way, and then this one just as long, so that neither has an advantage. */
  #try(): Choice {
    this.#left = 0;
    if (this.#tries === 0) {
      this.#tries = 2 * TRY;
      if (this.#settle()) {
        this.#left = TRY_EVERY;
        return this.#blind;
      }
    }
    const way = this.#tries > TRY ? OTHER[this.way] : this.way;
    this.#tries -= 1;
    return (this.#tries % TRY < SAMPLES ? MEASURED : BLIND)[way];
  }

  /** Keeps to the cheaper way: `false` where too few were measured, as where most found nothing. */
  #settle(): boolean {
    const [now, then] = [this.samples[this.way], this.samples[OTHER[this.way]]];
    if (!now.enough || !then.enough) return false;
    if (then.median! < now.median! * HYSTERESIS) {
      this.way = OTHER[this.way];
      this.#blind = BLIND[this.way];
    }
    return true;
  }
}

/** How much of one way there has been. */
class Warmth {
  #wakeups = 0;
  #ns = 0;

  /** Whether its cost is not yet what it will be. */
  get cold(): boolean {
    return this.#wakeups < WARM.wakeups && this.#ns < WARM.ns;
  }

  /** How many wake-ups were taken that way. */
  get wakeups(): number {
    return this.#wakeups;
  }

  add(ns: number): void {
    this.#wakeups += 1;
    this.#ns += ns;
  }
}

/** The costs of one carrier, by the bytes of a wake-up in powers of two. */
export class Costs {
  readonly #sizes: Size[] = Array.from({ length: 32 }, () => new Size());
  readonly #warmth: Readonly<Record<Way, Warmth>> = { copy: new Warmth(), map: new Warmth() };
  #cold = true;

  /** How to take about `bytes` bytes. */
  choose(bytes: number): Choice {
    return this.#cold ? this.#chooseCold() : this.#sizeOf(bytes).choose();
  }

  /** Each in turn, until both are warm. */
  #chooseCold(): Choice {
    const { copy, map } = this.#warmth;
    if (!map.cold) return MEASURED.copy;
    return copy.cold && copy.wakeups < map.wakeups ? MEASURED.copy : MEASURED.map;
  }

  /** About `expected` bytes were chosen for, and `bytes` came, by `way`, in `ns` nanoseconds. */
  note(expected: number, way: Way, bytes: number, ns: number): void {
    if (!this.#cold) {
      this.#sizeOf(expected).samples[way].add(ns / bytes);
      return;
    }
    this.#warmth[way].add(ns);
    this.#cold = this.#warmth.copy.cold || this.#warmth.map.cold;
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
