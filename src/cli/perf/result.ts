/**
 * The outcome of one measurement: what each end has measured, then, checked, the line of JSON that
 * `--json` prints.
 *
 * @module
 */
import { runtimeName } from "../../../ffi/versions.ts";
import type { Mode, Plan } from "./plan.ts";

/** What the transmitter measured. */
export interface Transmitted {
  /** Bytes that send(2) took. */
  readonly bytes: number;
  /** A: the whole tx loop. */
  readonly seconds: number;
  /** The part of A inside of send(2). */
  readonly sendSeconds: number;
  /** Of the bytes sent with MSG_ZEROCOPY, those that were copied after all. */
  readonly copiedBytes?: number | undefined;
  /** SHA-256 in hexadecimal, with `verify`. */
  readonly sha256?: string | undefined;
}

/** What the receiver measured. */
export interface Received {
  /** Bytes dequeued. */
  readonly bytes: number;
  /** Those of them that were not copied. */
  readonly mappedBytes: number;
  /** B: the whole rx loop, waiting included. */
  readonly seconds: number;
  /** CPU time of the whole process meanwhile, of all its threads. */
  readonly cpuSeconds: number;
  /** C: dequeue calls only. */
  readonly dequeueSeconds: number;
  /** Times it woke up and dequeued something. */
  readonly wakeups: number;
  /** SHA-256 in hexadecimal, with `verify`. */
  readonly sha256?: string | undefined;
  /** What one reading of the clock costs; each wake-up has two of them. */
  readonly clockNs: number;
}

/** What one end measured. */
export type Measured = Transmitted | Received;

/** What either end says of itself. */
interface EndResult {
  /** What carried it. */
  readonly transport: string;
  /** Runtime and version, e.g. `"node 26.10.0"`. */
  readonly runtime: string;
  /** `"stream"` or `"seqpacket"`. */
  readonly type: string;
  /** Bytes sent, or received. */
  readonly bytes: number;
  /** SHA-256 of the bytes, with `--verify`. */
  readonly sha256?: string;
}

/** What the transmitter's end says of itself. */
export interface SentResult extends EndResult {
  /** How much the transmitter handed to one send(2). */
  readonly tx_buffer_bytes: number;
  /** A: the transmitter's tx loop. */
  readonly tx_seconds: number;
  /** The part of A inside of send(2). */
  readonly send_seconds: number;
  /** Which part of the bytes was copied after all, 0 to 1, with `--tx-zerocopy`. */
  readonly tx_copied_share?: number;
}

/** What the receiver's end says of itself. */
export interface ReceivedResult extends EndResult {
  /** How the receiver took data. */
  readonly mode: Mode;
  /** The receiver's buffer, or the data pages of its mapping. */
  readonly buffer_bytes: number;
  /** `SO_RCVLOWAT` of the receiver. */
  readonly rcvlowat_bytes: number;
  /** Bytes that were not copied; in mode copy it is left out. */
  readonly mapped_bytes?: number;
  /** Socket buffer of the receiver; 0 where the kernel chose it. */
  readonly credit_bytes: number;
  /** B: the receiver's rx loop, waiting included. */
  readonly rx_seconds: number;
  /** CPU time of the receiver's process in B: of both ends, where both are in one. */
  readonly rx_cpu_seconds: number;
  /** C: the receiver's dequeue calls. */
  readonly dequeue_seconds: number;
  /** Times the receiver woke up and dequeued something. */
  readonly wakeups: number;
  /** D: C divided by the wake-ups. */
  readonly ns_per_wakeup: number;
  /** Bits received in B, in units of 1e9 a second. */
  readonly rx_gbit_per_s: number;
  /** What one of the two readings of the clock in a wake-up costs; it is not subtracted. */
  readonly clock_ns: number;
}

/** Both ends, which agree on the bytes: one line of `--json`. */
export interface PerfResult extends ReceivedResult, SentResult {}

/** The transmitter's end. */
export function sentResult(plan: Plan, sent: Transmitted): SentResult {
  return {
    transport: plan.transport,
    runtime: runtimeName(),
    type: plan.type,
    bytes: sent.bytes,
    tx_buffer_bytes: plan.txBufferBytes,
    tx_seconds: sent.seconds,
    send_seconds: sent.sendSeconds,
    ...(sent.copiedBytes !== undefined && { tx_copied_share: sent.copiedBytes / sent.bytes }),
    ...hashOf(sent),
  };
}

/** The receiver's end. */
export function receivedResult(plan: Plan, received: Received): ReceivedResult {
  return {
    mode: plan.mode,
    transport: plan.transport,
    runtime: runtimeName(),
    type: plan.type,
    bytes: received.bytes,
    ...(plan.mode !== "copy" && { mapped_bytes: received.mappedBytes }),
    buffer_bytes: plan.bufferBytes,
    rcvlowat_bytes: plan.rcvlowatBytes,
    credit_bytes: plan.creditBytes,
    rx_seconds: received.seconds,
    rx_cpu_seconds: received.cpuSeconds,
    dequeue_seconds: received.dequeueSeconds,
    wakeups: received.wakeups,
    ns_per_wakeup: Math.round(received.dequeueSeconds * 1e9 / Math.max(1, received.wakeups)),
    rx_gbit_per_s: received.bytes * 8 / 1e9 / received.seconds,
    clock_ns: received.clockNs,
    ...hashOf(received),
  };
}

function hashOf({ sha256 }: Measured): { readonly sha256?: string } {
  return sha256 === undefined ? {} : { sha256 };
}

/**
 * Puts both ends together.
 *
 * @throws {Error} Unless each end saw all the bytes, with the same hash.
 */
export function combine(
  plan: Plan,
  transmitted: Transmitted,
  received: Received,
): PerfResult {
  if (transmitted.bytes !== plan.bytes || received.bytes !== plan.bytes) {
    throw new Error(
      `The ends disagree: asked for ${plan.bytes} bytes, ` +
        `transmitter sent ${transmitted.bytes}, receiver got ${received.bytes}`,
    );
  }
  if (transmitted.sha256 !== received.sha256) {
    throw new Error(
      `The data is damaged: transmitter's SHA-256 is ${transmitted.sha256}, ` +
        `receiver's is ${received.sha256}`,
    );
  }
  return { ...sentResult(plan, transmitted), ...receivedResult(plan, received) };
}
