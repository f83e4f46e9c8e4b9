/**
 * The Worker that is one end of a measurement: it blocks its thread, as the C tool does, reports
 * once and ends.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { Control } from "./control.ts";
import { type Plan, type Received, type Transmitted, warmUpOf } from "./plan.ts";
import { receive } from "./receiver.ts";
import { transmit } from "./transmitter.ts";
import { TRANSPORTS } from "./transports.ts";

/** What the Worker is started with. */
export interface EndTask {
  /** Which end this is. */
  readonly role: "transmitter" | "receiver";
  /** What to do. */
  readonly plan: Plan;
  /** For `PerfTransport.open()`. */
  readonly end: unknown;
  /** Where the receiver connects to. */
  readonly cid: number;
  /** The memory of a `Control`. */
  readonly control: SharedArrayBuffer;
  /** The memory of another one, for the warm-up. */
  readonly warmUpControl: SharedArrayBuffer;
}

/** The one message of the Worker. */
export type EndReport<Result extends Transmitted | Received> =
  | { readonly result: Result }
  | { readonly error: string };

function runEnd(task: EndTask): Transmitted | Received {
  const { role, plan, end, cid } = task;
  const carrier = TRANSPORTS.get(plan.transport);
  if (carrier === undefined) throw new Error(`No transport ${plan.transport}`);
  using opened = carrier.open(end);
  const run = (plan: Plan, control: Control): Transmitted | Received =>
    role === "transmitter" ? transmit(opened, plan, control) : receive(opened, cid, plan, control);
  run(warmUpOf(plan), new Control(task.warmUpControl));
  return run(plan, new Control(task.control));
}

// Caught here, since an uncaught error of a Worker is printed by Deno beside being reported.
function report(): EndReport<Transmitted | Received> {
  try {
    return { result: runEnd(workerData as EndTask) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.postMessage(report());
