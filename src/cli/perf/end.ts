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
  /** The memory of another one, for the warm-up; without it there is none. */
  readonly warmUpControl?: SharedArrayBuffer | undefined;
  /** How many wake-ups that has. @default {as many as the transport wants} */
  readonly warmUpWakeups?: number | undefined;
}

/** Runs one end: of the warm-up on a connection of its own, then of the measurement. */
export function runEnd(task: EndTask): Measured {
  const carrier = TRANSPORTS[task.plan.transport];
  using transport = carrier.open(task.end);
  const { role, machine, plan, peer, warmUpControl, warmUpWakeups = carrier.warmUpWakeups } = task;
  const address = carrier.address(machine, plan.port);
  const listens = machine === undefined;
  const run = (plan: Plan, memory: SharedArrayBuffer): Measured => {
    const prepare = (socket: Socket<Address>): void => carrier.prepare(socket, plan);
    const control = new Control(memory);
    const meeting = { transport, prepare, address, listens, control, peer };
    return role === "transmitter" ? transmit(meeting, plan) : receive(meeting, plan);
  };
  new Control(task.control).reportBegun();
  if (warmUpControl !== undefined) run(warmUpOf(plan, warmUpWakeups), warmUpControl);
  return run(plan, task.control);
}
