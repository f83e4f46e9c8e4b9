/**
 * The second thread of the link under random load: takes connections, and opens some.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { type LoopbackEnd, openLoopback } from "../../src/loopback/mod.ts";
import { runFar, runNear } from "./link_stress.ts";

/** What a test starts this script with. */
export interface StressData {
  readonly end: LoopbackEnd;
  /** Bytes that the link can hold. */
  readonly max: number;
}

/** What it is told, and tells: the number of a connection to open, and that it is over. */
export type StressMessage = { readonly seed: number; readonly error?: string };

const { end, max } = workerData as StressData;
const transport = openLoopback(end);
const port = parentPort!;
const fail = (seed: number, error: unknown): void => {
  const { stack, cause } = error as Error;
  port.postMessage({ seed, error: `${stack}\n${(cause as Error | undefined)?.stack}` });
};
runFar(transport, end.cid, max, (error) => fail(-1, error));
port.on("message", ({ seed }: StressMessage) => {
  runNear(transport, end.peerCid, seed).then(
    () => port.postMessage({ seed } satisfies StressMessage),
    (error) => fail(seed, error),
  );
});
port.postMessage({ seed: 0 } satisfies StressMessage);
