/**
 * The end of connections that a command serves.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";

/** One connection that is served. */
export interface Served {
  /** Ends it without a word. */
  cut(): void;
  readonly over: Promise<void>;
}

/**
 * Waits until all of `sessions` are over, for `timeoutMs` or until `signal`, and cuts what is left.
 *
 * @param sessions Each takes itself out when it is over.
 * @returns How many were cut.
 */
export async function drain(
  sessions: ReadonlySet<Served>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<number> {
  const over = Promise.all([...sessions].map((session) => session.over));
  const late = new AbortController();
  const time = sleep(timeoutMs, undefined, { signal: AbortSignal.any([late.signal, signal]) });
  await Promise.race([over, time.catch(() => {})]);
  late.abort();
  const left = [...sessions];
  for (const session of left) session.cut();
  await over;
  return left.length;
}
