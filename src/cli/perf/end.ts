/**
 * One end of a measurement, on the thread that it blocks.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import type { Socket } from "../../socket.ts";
import { Control } from "./control.ts";
import type { Peer } from "./meet.ts";
import { type Plan, warmUpOf } from "./plan.ts";
import { receive } from "./receiver.ts";
import type { Measured } from "./result.ts";
import { transmit } from "./transmitter.ts";
import { TRANSPORTS } from "./transports.ts";

/** One end, as plain data. */
export interface EndTask {
  /** Which end this is. */
  readonly role: "transmitter" | "receiver";
  /** What to do. */
  readonly plan: Plan;
  /** For `PerfTransport.open()`. */
  readonly end: unknown;
  /** The machine to connect to; an end without it listens. */
  readonly machine?: string | undefined;
  /** Where the other end is. */
  readonly peer: Peer;
  /** The memory of a `Control`. */
  readonly control: SharedArrayBuffer;
  /** Without it there is none. */
  readonly warmUp?: WarmUp | undefined;
}

/** What both ends run before the measurement. */
export interface WarmUp {
  /** The memory of another `Control`. */
  readonly control: SharedArrayBuffer;
  /** How many wake-ups it has. */
  readonly wakeups: number;
}

/** Runs one end: of the warm-up on a connection of its own, then of the measurement. */
export function runEnd(task: EndTask): Measured {
  const carrier = TRANSPORTS[task.plan.transport];
  using transport = carrier.open(task.end);
  const { role, machine, plan, peer, warmUp } = task;
  const address = carrier.address(machine, plan.port);
  const listens = machine === undefined;
  const run = (plan: Plan, memory: SharedArrayBuffer): Measured => {
    const prepare = (socket: Socket<Address>): void => carrier.prepare(socket, plan);
    const control = new Control(memory);
    const meeting = { transport, prepare, address, listens, control, peer };
    return role === "transmitter" ? transmit(meeting, plan) : receive(meeting, plan);
  };
  new Control(task.control).reportBegun();
  if (warmUp !== undefined) run(warmUpOf(plan, warmUp.wakeups), warmUp.control);
  return run(plan, task.control);
}
