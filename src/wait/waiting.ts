/**
 * How long a call may wait: `signal` and `timeoutMs`, for every call that can.
 *
 * @module
 */
import type { Address } from "../address.ts";
import { requireNumber, requireObject } from "../arguments.ts";
import { type Op, VsockError } from "../error.ts";
import { shown } from "../shown.ts";

/** For every call that can wait. */
export interface WaitOptions {
  /** Ends the wait: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds to wait, 0 for not at all: then the call rejects with ETIMEDOUT.
   * @default {Infinity}
   */
  readonly timeoutMs?: number | undefined;
}

/** The longest delay of a timer in milliseconds. */
export const TIMER_MAX_MS: number = 2 ** 31 - 1;

/** Throws unless `value` is a time in milliseconds that timers can wait, or Infinity. */
export function requireMs(name: string, value: unknown): void {
  requireNumber(name, value);
  if (value >= 0 && (value <= TIMER_MAX_MS || value === Infinity)) return;
  throw new RangeError(
    `Cannot use ${name}: must be from 0 to ${TIMER_MAX_MS}, or Infinity: current value is ${value}`,
  );
}

/** Throws a TypeError unless `value` is an AbortSignal, aborted or not; a polyfill's is none. */
export function requireSignal(value: unknown): void {
  if (value instanceof AbortSignal) return;
  throw new TypeError(
    `Cannot use signal: must be an AbortSignal of this runtime: current value is ${shown(value)}`,
  );
}

/** Throws unless `options` can limit a wait; then the signal's reason where it is aborted. */
export function requireWaitOptions(options: WaitOptions): void {
  requireObject("options", options);
  const { signal, timeoutMs = Infinity } = options;
  requireMs("timeoutMs", timeoutMs);
  if (signal === undefined) return;
  requireSignal(signal);
  signal.throwIfAborted();
}

/** The limit of one wait that has begun. */
export interface WaitLimit extends Disposable {
  /** What `Socket.wait()` takes: aborted by the caller's signal, or when the time is over. */
  readonly signal: AbortSignal | undefined;
}

const NO_LIMIT: WaitLimit = { signal: undefined, [Symbol.dispose](): void {} };

/**
 * Starts the clock of a wait; the caller disposes it when the wait is over.
 *
 * @throws {VsockError} `ETIMEDOUT` at once where `timeoutMs` is 0.
 */
export function limitWait(
  op: Op,
  options: WaitOptions | undefined,
  address: Address | undefined,
): WaitLimit {
  const { signal, timeoutMs = Infinity } = options ?? {};
  if (timeoutMs === 0) throw new VsockError(op, "ETIMEDOUT", { address });
  if (timeoutMs === Infinity) {
    return signal === undefined ? NO_LIMIT : { signal, [Symbol.dispose](): void {} };
  }
  const either = new AbortController();
  const onTime = (): void => either.abort(new VsockError(op, "ETIMEDOUT", { address }));
  const onAbort = (): void => either.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = startTimer(onTime, timeoutMs);
  return {
    signal: either.signal,
    [Symbol.dispose](): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    },
  };
}

/** `promise`, or before that the reason of `signal`. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    signal.addEventListener("abort", abort, { once: true });
  });
}

/** A timer that does not hold the event loop: the wait that it limits does, unless unref'd. */
export function startTimer(f: () => void, ms: number): ReturnType<typeof setTimeout> {
  const timer = setTimeout(f, ms);
  (timer as { unref?: () => void }).unref?.();
  return timer;
}

/** Resolves after `ms` milliseconds, without holding the event loop. */
export function sleepUnheld(ms: number): Promise<void> {
  return new Promise((resolve) => void startTimer(resolve, ms));
}
