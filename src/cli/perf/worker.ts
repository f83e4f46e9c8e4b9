/**
 * The Worker that is one end of a measurement: it blocks its thread, as the C tool does, reports
 * once and ends.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import type { Address } from "../../address.ts";
import type { Socket } from "../../socket.ts";
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
  /** The machine to connect to; an end without it listens. */
  readonly machine?: string | undefined;
  /** The memory of a `Control`. */
  readonly control: SharedArrayBuffer;
  /** The memory of another one, for the warm-up; an end whose peer is elsewhere has none. */
  readonly warmUpControl?: SharedArrayBuffer | undefined;
}

/** The one message of the Worker. */
export type EndReport<Result extends Transmitted | Received> =
  | { readonly result: Result }
  | { readonly error: string };

function runEnd(task: EndTask): Transmitted | Received {
  const carrier = TRANSPORTS.get(task.plan.transport);
  if (carrier === undefined) throw new Error(`No transport ${task.plan.transport}`);
  using transport = carrier.open(task.end);
  const { role, machine, plan, warmUpControl } = task;
  const address = carrier.address(machine, plan.port);
  const listens = machine === undefined;
  const alone = warmUpControl === undefined;
  const run = (plan: Plan, memory: SharedArrayBuffer): Transmitted | Received => {
    const prepare = (socket: Socket<Address>): void => carrier.prepare(socket, plan);
    const control = new Control(memory);
    const meeting = { transport, prepare, address, listens, control, alone };
    return role === "transmitter" ? transmit(meeting, plan) : receive(meeting, plan);
  };
  if (!alone) run(warmUpOf(plan, carrier.warmUpWakeups), warmUpControl);
  return run(plan, task.control);
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
