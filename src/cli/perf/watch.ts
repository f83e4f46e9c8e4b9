/**
 * Watches a measurement from outside: progress for the bar, and an end to one that hangs.
 *
 * @module
 */
import type { Control } from "./control.ts";

const INTERVAL_MS = 100;
const STALLED_AFTER_MS = 15_000;
const ENDS = 2;

/** What is looked at of a measurement, or of its warm-up. */
export type Watched = Pick<Control, "begun" | "sent" | "received">;

/** A watch that somebody must stop. */
export interface Watch {
  /** Rejects when neither end has moved a byte for too long; never resolves. */
  readonly stalled: Promise<never>;
  /** Ends the watch. */
  stop(): void;
}

/**
 * Looks at `control`, and at its warm-up, ten times a second, and calls `onTick` each time. What
 * the ends take to begin does not count: on a slow machine that is seconds.
 */
export function watch(
  control: Watched,
  warmUp: Watched,
  onTick: () => void,
  stalledAfterMs: number = STALLED_AFTER_MS,
): Watch {
  const { promise: stalled, reject } = Promise.withResolvers<never>();
  let [moved, movedAt] = [-1, performance.now()];
  const timer = setInterval(() => {
    onTick();
    const { sent, received, begun } = control;
    const seen = sent + received + warmUp.sent + warmUp.received;
    if (begun < ENDS || seen !== moved) [moved, movedAt] = [seen, performance.now()];
    else if (performance.now() - movedAt > stalledAfterMs) {
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
