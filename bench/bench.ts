/**
 * What a bench is, and how its rounds become rows of the table.
 *
 * @module
 */

/** What a row's number should be, at least or at most. No gate: it is printed, never asserted. */
export type Target = { readonly atLeast: number } | { readonly atMost: number };

/** Which number of several rounds stands for all of them. */
export type Pick = "median" | "most";

/** One line of the table, and which of a round's values it is about. */
export interface RowSpec {
  /** For `--only`, and in JSON. */
  readonly name: string;
  /** What is compared. */
  readonly what: string;
  /** Key of our value. */
  readonly ours: string;
  /** Key of what ours is divided by; without it, `ours` itself is held against the target. */
  readonly peer?: string;
  /** What the peer is. */
  readonly peerIs?: string;
  /** Unit of both values. */
  readonly unit: string;
  /** Without one, the row is there for comparison. */
  readonly target?: Target;
  /** @default {"median"} */
  readonly pick?: Pick;
  /** What a reader should know before believing the number. */
  readonly note?: string;
}

/** One measurement of everything that a bench compares, in turn. */
export type Round = Readonly<Record<string, number>>;

/** Values that are measured in the same rounds, and the rows made of them. */
export interface Bench {
  /** The table's rows. */
  readonly rows: readonly RowSpec[];
  /** How many rounds. */
  readonly rounds: number;
  /** Throws unless the answer of everything measured is right. Runs before the first round. */
  prove(): Promise<void>;
  /** One round; a key for each value. */
  round(): Promise<Round>;
  /** Ends what the rounds have in common. */
  close?(): Promise<void>;
}

/** A row with its numbers. */
export interface Row extends Omit<RowSpec, "ours" | "peer"> {
  /** Our value. */
  readonly ours: number;
  /** The peer's, where there is one. */
  readonly peer?: number;
  /** `ours / peer`. */
  readonly ratio?: number;
  /** Whether the target is met, where there is one. */
  readonly met?: boolean;
  /** Every round's value of ours. */
  readonly oursRounds: readonly number[];
  /** Every round's value of the peer. */
  readonly peerRounds?: readonly number[];
}

/** Proves, measures and judges those rows of `bench` that `wanted` lets through. */
export async function measure(
  bench: Bench,
  wanted: (name: string) => boolean,
): Promise<Row[]> {
  const specs = bench.rows.filter(({ name }) => wanted(name));
  if (specs.length === 0) return [];
  try {
    await bench.prove();
    const rounds: Round[] = [];
    for (let round = 0; round < bench.rounds; round++) rounds.push(await bench.round());
    return specs.map((spec) => judge(spec, rounds));
  } finally {
    await bench.close?.();
  }
}

/** The row that `rounds` make of `spec`. */
export function judge(spec: RowSpec, rounds: readonly Round[]): Row {
  const { ours: oursKey, peer: peerKey, target, pick = "median", ...rest } = spec;
  const oursRounds = valuesOf(oursKey, rounds);
  const ours = pickOne(pick, oursRounds);
  const measured = { ...rest, ours, oursRounds };
  if (peerKey === undefined) return { ...measured, ...judged(ours, target) };
  const peerRounds = valuesOf(peerKey, rounds);
  const peer = pickOne(pick, peerRounds);
  const ratio = ours / peer;
  return { ...measured, peer, peerRounds, ratio, ...judged(ratio, target) };
}

function judged(value: number, target: Target | undefined): { target?: Target; met?: boolean } {
  if (target === undefined) return {};
  const met = "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
  return { target, met };
}

function valuesOf(key: string, rounds: readonly Round[]): number[] {
  return rounds.map((round) => {
    const value = round[key];
    if (value !== undefined && Number.isFinite(value)) return value;
    throw new Error(
      `Cannot judge ${key}: must be a number in every round: current value is ${value}`,
    );
  });
}

function pickOne(pick: Pick, values: readonly number[]): number {
  return pick === "most" ? Math.max(...values) : median(values);
}

/** The middle of `values`; of an even number of them, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new RangeError("Cannot take a median: must be of some values");
  return sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
}
