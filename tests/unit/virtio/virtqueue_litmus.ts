/**
 * Store, then load what the other thread stores: if neither sees the other's store, the loads were
 * made first, and both could go to sleep. Over memory that each thread has mapped, as a guest's is.
 */
import { MappedRegion } from "../../../ffi/memory.ts";
import { ringBytes, type RingMemory, SplitRing } from "../../../src/virtio/split_ring.ts";

/** The driver and the device store to cache lines of their own. */
const [PART, SIZE] = [4096, 4];
/** How many rounds, and how long at most. */
const [ROUNDS, LONGEST_MS] = [100_000, 10_000];
/** How much longer one side may wait for the other. */
const GRACE_MS = 60_000;

/** Bytes of the memfd. */
export const LITMUS_BYTES: number = 3 * PART;

/** Whose store is seen by whom. */
export interface Litmus {
  readonly fd: number;
  /** Two words: how many have come to a round; the round that is not run any more, if not 0. */
  readonly sync: Int32Array;
  readonly pair: keyof typeof PAIRS;
}

interface Side {
  store(round: number): void;
  load(): number;
}

function device(ring: SplitRing): Record<"call" | "kick" | "flags", Side> {
  return {
    call: { store: (round) => ring.storeUsedIdx(round), load: () => ring.loadUsedEvent() },
    kick: { store: (round) => ring.storeAvailEvent(round), load: () => ring.loadAvailIdx() },
    flags: { store: (round) => ring.storeUsedFlags(round), load: () => ring.loadAvailIdx() },
  };
}

function driver({ avail, used }: RingMemory): ReturnType<typeof device> {
  const theirs = new Uint16Array(used.buffer, 0, used.length / 2);
  const ours = new Uint16Array(avail.buffer, 0, avail.length / 2);
  const side = (store: number, load: number): Side => ({
    store: (round) => Atomics.store(ours, store, round),
    load: () => Atomics.load(theirs, load),
  });
  return { call: side(2 + SIZE, 1), kick: side(1, 2 + 4 * SIZE), flags: side(1, 0) };
}

/** The pairs of words, by what `Virtqueue` does with them. */
const PAIRS = {
  call: "publish(): used.idx, then used_event",
  kick: "enableKicks(): avail_event, then avail.idx",
  flags: "enableKicks(): used.flags, then avail.idx",
} as const;

/** All there are. */
export const LITMUS_PAIRS: readonly (readonly [Litmus["pair"], string])[] = Object.entries(PAIRS)
  .map(([pair, what]) => [pair as Litmus["pair"], what]);

/** One side of it: for each round that was run, 1 where it saw the store of the other side. */
export function runLitmus({ fd, sync, pair }: Litmus, isDevice: boolean): Uint8Array {
  using region = new MappedRegion(LITMUS_BYTES, { fd });
  const { desc, avail, used } = ringBytes(SIZE);
  const memory: RingMemory = {
    size: SIZE,
    desc: region.lend(0, desc),
    avail: region.lend(PART, avail),
    used: region.lend(2 * PART, used),
  };
  const side = (isDevice ? device(new SplitRing(memory)) : driver(memory))[pair];
  const saw = new Uint8Array(ROUNDS);
  const end = Date.now() + LONGEST_MS;
  for (let round = 1; round <= ROUNDS; round++) {
    if (isDevice && round % 128 === 0 && Date.now() > end) Atomics.store(sync, 1, round);
    Atomics.add(sync, 0, 1);
    for (let spins = 1; Atomics.load(sync, 0) < 2 * round; spins++) {
      if (spins % 1_000_000 === 0 && Date.now() > end + GRACE_MS) throw new Error("left alone");
    }
    if (Atomics.load(sync, 1) === round) return saw.slice(0, round - 1);
    const mine = round & 0xffff; // what both words are not yet
    side.store(mine);
    saw[round - 1] = side.load() === mine ? 1 : 0;
  }
  return saw;
}
