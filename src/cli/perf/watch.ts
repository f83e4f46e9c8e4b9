/**
 * Watches a measurement from outside: progress for the bar, and an end to one that hangs.
 *
 * @module
 */
import { Stillness } from "../serving/stillness.ts";
import type { Control } from "./control.ts";

const INTERVAL_MS = 100;
const STALLED_AFTER_MS = 15_000;
/** A Worker that takes longer to begin never will. */
const BEGUN_AFTER_MS = 60_000;
const ENDS = 2;

/** What is looked at of a measurement, or of its warm-up. */
export type Watched = Pick<Control, "begun" | "sent" | "received">;

/** A watch that somebody must stop. */
export interface Watch {
  /** Rejects when an end does not begin, or neither moves a byte for too long; never resolves. */
  readonly stalled: Promise<never>;
  /** Ends the watch. */
  stop(): void;
}

/**
 * Looks at `control`, and at its warm-up, ten times a second, and calls `onTick` each time. What
 * the ends take to begin does not count as a stall: on a slow machine that is seconds. Nor does the
 * time for which the whole process was stopped.
 */
export function watch(
  control: Watched,
  warmUp: Watched,
  onTick: () => void,
  stalledAfterMs: number = STALLED_AFTER_MS,
  begunAfterMs: number = BEGUN_AFTER_MS,
): Watch {
  const { promise: stalled, reject } = Promise.withResolvers<never>();
  const stillness = new Stillness(INTERVAL_MS, 0);
  const timer = setInterval(() => {
    onTick();
    const { sent, received, begun } = control;
    const stillMs = stillness.look(begun + sent + received + warmUp.sent + warmUp.received);
    if (begun < ENDS && stillMs > begunAfterMs) {
      reject(new Error(`Only ${begun} of ${ENDS} Workers began in ${begunAfterMs / 1000} s`));
    } else if (begun === ENDS && stillMs > stalledAfterMs) {
      reject(
        new Error(
          `Nothing moved for ${stalledAfterMs / 1000} s: ` +
            `${sent} bytes sent, ${received} received, to the KiB`,
        ),
      );
    }
  }, INTERVAL_MS);
  return { stalled, stop: (): void => clearInterval(timer) };
}
