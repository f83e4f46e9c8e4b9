/**
 * How long a call may wait: `signal` and `timeoutMs`, for every call that can.
 *
 * @module
 */
import { POLLIN } from "../../ffi/abi/poll.ts";
import type { Address } from "../address.ts";
import { requireNumber, requireObject } from "../arguments.ts";
import { type Op, toVsockError, VsockError } from "../error.ts";
import { shown } from "../shown.ts";
import type { AnySocket } from "../socket.ts";
import { turn } from "./turns.ts";

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

/** Throws unless `options` can limit a wait; then the signal's reason where it is aborted. */
export function requireWaitOptions(options: WaitOptions): void {
  requireObject("options", options);
  const { signal, timeoutMs = Infinity } = options;
  requireMs("timeoutMs", timeoutMs);
  if (signal === undefined) return;
  if (!(signal instanceof AbortSignal)) {
    throw new TypeError(
      `Cannot use signal: must be an AbortSignal: current value is ${shown(signal)}`,
    );
  }
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

/** Turns of the event loop before a pause sleeps. */
const EAGER_TURNS = 32;
/** The first naps take this long; after so many of one length they take twice as long. */
const [FIRST_NAP_MS, NAPS_OF_A_LENGTH, LONGEST_NAP_MS] = [4, 8, 64];

/**
 * Lets others run after poll(2) said ready and the call would still block: half of a message has
 * come, or there is credit for half of one. `vain` counts how often that was so in a row: a peer
 * that leaves it at half of a message must not keep a processor busy.
 */
export async function pause(
  socket: AnySocket,
  vain: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  await (vain < EAGER_TURNS ? turn() : nap(socket, napMs(vain - EAGER_TURNS)));
  signal?.throwIfAborted();
}

/** The one call of its kind that may wait for `socket` to have something. */
export class PendingCall {
  readonly #op: Op;
  readonly #socket: AnySocket;
  readonly #address: Address;
  #pending = false;

  /** `address` is for errors. */
  constructor(op: Op, socket: AnySocket, address: Address) {
    this.#op = op;
    this.#socket = socket;
    this.#address = address;
  }

  /** Throws `EBUSY` while one waits. */
  requireNone(): void {
    if (this.#pending) throw new VsockError(this.#op, "EBUSY", { address: this.#address });
  }

  /** What `attempt` gives: it is called whenever there may be something, until there is. */
  async wait<T>(attempt: () => T | undefined, options: WaitOptions | undefined): Promise<T> {
    const [socket, op, address] = [this.#socket, this.#op, this.#address];
    this.#pending = true;
    try {
      using limit = limitWait(op, options, address);
      for (let vain = 0;; vain++) {
        await socket.wait(POLLIN, limit.signal);
        const result = attempt();
        if (result !== undefined) return await socket.turns.give(result);
        await pause(socket, vain, limit.signal);
      }
    } catch (cause) {
      throw toVsockError(op, cause, address);
    } finally {
      this.#pending = false;
    }
  }
}

function napMs(naps: number): number {
  return Math.min(FIRST_NAP_MS * 2 ** Math.floor(naps / NAPS_OF_A_LENGTH), LONGEST_NAP_MS);
}

/** Some milliseconds, holding the event loop as a wait of `socket` does. */
async function nap(socket: AnySocket, ms: number): Promise<void> {
  const time = sleepUnheld(ms);
  if (socket.hold !== undefined) return await socket.hold(time);
  const over = new AbortController();
  const hold = socket.wait(0, over.signal).catch(() => {});
  await time;
  over.abort();
  await hold;
}
