/**
 * The Worker that is one end of a measurement: it blocks its thread, as the C tool does, reports
 * once and ends.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { type EndTask, runEnd } from "./end.ts";
import type { Measured } from "./result.ts";

/** The one message of the Worker. */
export type EndReport<Result> =
  | { readonly result: Result }
  | { readonly error: string };

// Caught here, since an uncaught error of a Worker is printed by Deno beside being reported.
function report(): EndReport<Measured> {
  try {
    return { result: runEnd(workerData as EndTask) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.postMessage(report());
