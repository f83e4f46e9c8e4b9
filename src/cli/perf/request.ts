/**
 * What the two ends of a measurement say to each other, a line of JSON each: a request, which is
 * checked as it comes from outside, then `Go`, then a reply; or a reply at once.
 *
 * @module
 */
import { BUFFER_MAX, MODES, type Plan, type TransportName } from "./plan.ts";
import type { Measured } from "./result.ts";

/** One end for somebody else. */
export interface Request {
  /** Which end the one that serves is. */
  readonly role: "transmitter" | "receiver";
  /** What to do; the transport and the file are left out. */
  readonly plan: Plan;
  /** Wake-ups of the warm-up before it. */
  readonly warmUpWakeups: number;
}

/** What the end that serves says at last: one of these. */
export interface Reply {
  readonly result?: Measured;
  /** What has gone wrong. */
  readonly error?: string;
  /** Why it cannot receive by the mode that was asked for. */
  readonly lack?: string;
}

/** What it says first, where it can do what is asked for. */
export interface Go {
  readonly go: true;
}

const U32_MAX = 0xffff_ffff;

/**
 * What was asked for, for `transport`; the measurement is on the port behind `port`.
 *
 * @throws {Error} If it is no request, or one out of bounds.
 */
export function checkRequest(value: unknown, transport: TransportName, port: number): Request {
  const { role, plan, warmUpWakeups } = record(value, "a request");
  const asked = record(plan, "plan");
  const number = (name: string, least: number, most: number): number =>
    within(name, asked[name], least, most);
  return {
    role: oneOf("role", role, ["transmitter", "receiver"]),
    plan: {
      mode: oneOf("mode", asked["mode"], MODES.map(({ mode }) => mode)),
      transport,
      type: oneOf("type", asked["type"], ["stream", "seqpacket"]),
      port: port + 1,
      bytes: number("bytes", 1, Number.MAX_SAFE_INTEGER),
      bufferBytes: number("bufferBytes", 1, BUFFER_MAX),
      rcvlowatBytes: number("rcvlowatBytes", 1, 0x7fff_ffff),
      creditBytes: number("creditBytes", 0, U32_MAX),
      txBufferBytes: number("txBufferBytes", 1, BUFFER_MAX),
      verify: asked["verify"] === true,
      ...(asked["txZeroCopy"] === true && { txZeroCopy: true }),
      ...(asked["maxSegment"] !== undefined && { maxSegment: number("maxSegment", 0, U32_MAX) }),
    },
    warmUpWakeups: within("warmUpWakeups", warmUpWakeups, 1, 1_000_000),
  };
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw new Error(`${name} must be an object: current value is ${value}`);
}

function within(name: string, value: unknown, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value as number >= least && value as number <= most) {
    return value as number;
  }
  throw new Error(`${name} must be from ${least} to ${most}: current value is ${value}`);
}

function oneOf<T>(name: string, value: unknown, all: readonly T[]): T {
  const found = all.find((one) => one === value);
  if (found !== undefined) return found;
  throw new Error(`${name} must be one of ${all.join(", ")}: current value is ${value}`);
}
