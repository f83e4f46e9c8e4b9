/**
 * What `vsockit perf` can measure. A transport joins by one entry.
 *
 * @module
 */
import { createLoopbackLink, type LoopbackEnd, openLoopback } from "../../loopback/mod.ts";
import type { Transport } from "../../transport.ts";

/** Two ends that can reach each other; plain data, for the Workers. */
export interface Link {
  /** For `open()` in the transmitter's Worker. */
  readonly transmitter: unknown;
  /** For `open()` in the receiver's Worker. */
  readonly receiver: unknown;
  /** Where the receiver connects to. */
  readonly cid: number;
}

/** One way to carry a measurement. */
export interface PerfTransport {
  /** A new link for one measurement. */
  link(): Link;
  /** Opens one end of a link on the Worker that uses it. The caller closes it. */
  open(end: unknown): Transport & Disposable;
}

/** All of them, by the name that `--transport` takes. */
export const TRANSPORTS: ReadonlyMap<string, PerfTransport> = new Map([
  ["loopback", {
    link(): Link {
      const [transmitter, receiver] = createLoopbackLink();
      return { transmitter, receiver, cid: transmitter.cid };
    },
    open: (end: unknown): Transport & Disposable => openLoopback(end as LoopbackEnd),
  }],
]);
