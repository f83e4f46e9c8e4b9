/**
 * A measurement whose other end is run by `vsockit perf --serve` elsewhere.
 *
 * Both ends agree over a connection of its own: the one that asks sends a line of JSON, the one
 * that serves runs its end, which listens on the next port, and sends a line back.
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { connect } from "../../connect.ts";
import type { SocketMaker } from "../../transport.ts";
import type { VsockDevice } from "../../vhost_user/device.ts";
import { beforeEnding } from "../serving/signals.ts";
import { Control } from "./control.ts";
import { type EndTask, runEnd } from "./end.ts";
import { Lines, strangeAnswer } from "./lines.ts";
import type { Plan } from "./plan.ts";
import type { Reply, Request } from "./request.ts";
import {
  combine,
  type Measured,
  type PerfResult,
  type Received,
  type Transmitted,
} from "./result.ts";
import { start } from "./run.ts";
import { isRefused } from "./meet.ts";
import { UnsupportedModeError } from "./sweep.ts";
import { closeDevices, TRANSPORTS } from "./transports.ts";

/** Who serves, and which way the data goes. */
export interface Remote {
  /** The machine that serves. */
  readonly machine: string;
  /** Whether this end transmits. */
  readonly reverse: boolean;
  /** For the transport that is a device: where the VMM connects to, or the device itself. */
  readonly device?: string | VsockDevice | undefined;
}

/** How long a guest whose driver runs may take until somebody serves there. */
const [BOOTING_MS, RETRY_MS] = [60_000, 200];

/** Runs this end of `plan`, and has the other one run. */
export async function runRemote(plan: Plan, remote: Remote): Promise<PerfResult> {
  const carrier = TRANSPORTS[plan.transport];
  const machine = await carrier.resolve?.(remote.machine, plan.port) ?? remote.machine;
  const end = endAt(machine, remote);
  using ending = new DisposableStack();
  if (carrier.inThread) ending.use(beforeEnding(closeDevices));
  using transport = carrier.open(end);
  await transport.ready?.();
  const address = carrier.address(machine, plan.port);
  using conn = await reach(address, transport, transport.ready === undefined ? 0 : BOOTING_MS);
  const [mine, theirs] = remote.reverse
    ? ["transmitter", "receiver"] as const
    : ["receiver", "transmitter"] as const;
  const { warmUpWakeups } = carrier;
  const request = { role: theirs, plan: sideOf(plan, theirs), warmUpWakeups };
  const { reported } = await ask(new Lines(conn), request);
  ending.dispose(); // this thread hears of no signal while it measures
  const task: EndTask = {
    role: mine,
    plan: { ...sideOf(plan, mine), port: plan.port + 1 },
    end,
    machine,
    peer: "coming",
    control: new Control().memory,
    warmUp: { control: new Control().memory, wakeups: warmUpWakeups },
  };
  const measured = await (carrier.inThread ? runEnd(task) : runOnWorker(task, reported));
  const ends = [measured, await reported];
  const [sent, received] = remote.reverse ? ends : ends.reverse();
  return combine(plan, sent as Transmitted, received as Received);
}

/** What `PerfTransport.open()` takes. */
function endAt(machine: string, { device }: Remote): unknown {
  if (typeof device !== "string") return device ?? machine;
  return { socketPath: device, guestCid: Number(machine) };
}

/** Asks for the other end: once that begins, for what it will report. */
async function ask(
  lines: Lines,
  request: Request,
): Promise<{ readonly reported: Promise<Measured> }> {
  await lines.send(request);
  const first = await lines.receive();
  if (first?.["go"] !== true) throw failureOf(first);
  const reported = lines.receive().then(resultOf);
  reported.catch(() => {}); // it is awaited later
  return { reported };
}

/** Connects to who serves, and tries again for `patienceMs` where nobody listens yet. */
async function reach(
  address: Address,
  transport: SocketMaker,
  patienceMs: number,
): Promise<Conn<Address>> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await connect(address, { transport });
    } catch (error) {
      if (!isRefused(error) || performance.now() > deadline) throw error;
    }
    await setTimeout(RETRY_MS);
  }
}

/** Only the receiver's socket has to be one that can map. */
function sideOf(plan: Plan, role: "transmitter" | "receiver"): Plan {
  return role === "receiver" ? plan : { ...plan, mode: "copy" };
}

/** The result in a reply; throws where it has none. */
function resultOf(reply: Partial<Reply> | undefined): Measured {
  if (reply?.result === undefined) throw failureOf(reply);
  return reply.result;
}

/** What is wrong with the other end, which should have said something else. */
function failureOf(reply: Partial<Reply> | undefined): Error {
  if (reply === undefined) return new Error("the other end went away");
  const { lack, error } = reply;
  if (lack !== undefined) return new UnsupportedModeError(lack);
  if (error !== undefined) return new Error(`the other end: ${error}`);
  return strangeAnswer(JSON.stringify(reply));
}

/** Ends early where the other end says that it has failed. */
async function runOnWorker(task: EndTask, reported: Promise<unknown>): Promise<Measured> {
  const { worker, outcome } = start<Measured>(task);
  try {
    return await Promise.race([outcome, reported.then(() => outcome)]);
  } finally {
    await worker.terminate();
  }
}
