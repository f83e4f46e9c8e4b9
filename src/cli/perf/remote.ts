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
import { listen } from "../../listen.ts";
import type { SocketMaker } from "../../transport.ts";
import type { VsockDevice } from "../../vhost_user/device.ts";
import { runtimeName } from "../../runtime/name.ts";
import { beforeEnding } from "../serving/signals.ts";
import { Control } from "./control.ts";
import { type EndTask, runEnd } from "./end.ts";
import { Lines } from "./lines.ts";
import type { Plan, Received, Transmitted, TransportName } from "./plan.ts";
import { checkRequest, type Request } from "./request.ts";
import { combine, type PerfResult } from "./result.ts";
import { start } from "./run.ts";
import { isRefused } from "./meet.ts";
import { LackError } from "./sweep.ts";
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
/** How long who has connected may take to ask: one after the other is served. */
const ASKING_MS = 5_000;

/** What an end that serves says at last. */
type Reply =
  | { readonly result: Transmitted | Received }
  | { readonly error: string }
  | { readonly lack: string };

/** What it says first, where it can do what is asked for. */
interface Go {
  readonly go: true;
}

/** Runs this end of `plan`, and has the other one run. */
export async function runRemote(plan: Plan, remote: Remote): Promise<PerfResult> {
  const carrier = TRANSPORTS[plan.transport];
  const { reverse, device } = remote;
  const machine = await carrier.resolve?.(remote.machine, plan.port) ?? remote.machine;
  const end = typeof device === "string"
    ? { socketPath: device, guestCid: Number(machine) }
    : device ?? machine;
  using ending = new DisposableStack();
  if (carrier.inThread) ending.use(beforeEnding(closeDevices));
  using transport = carrier.open(end);
  await transport.ready?.();
  const address = carrier.address(machine, plan.port);
  using conn = await reach(address, transport, transport.ready === undefined ? 0 : BOOTING_MS);
  const lines = new Lines(conn);
  const [mine, theirs] = reverse
    ? ["transmitter", "receiver"] as const
    : ["receiver", "transmitter"] as const;
  const { warmUpWakeups } = carrier;
  await lines.send({ role: theirs, plan: sideOf(plan, theirs), warmUpWakeups } satisfies Request);
  const task: EndTask = {
    role: mine,
    plan: { ...sideOf(plan, mine), port: plan.port + 1 },
    end,
    machine,
    peer: "coming",
    control: new Control().memory,
    warmUpControl: new Control().memory,
  };
  const first = await lines.receive() as Reply | Go | undefined;
  if (first === undefined || !("go" in first)) resultOf(first);
  const reply = lines.receive() as Promise<Reply | undefined>;
  reply.catch(() => {}); // looked at below
  ending.dispose(); // this thread hears of no signal while it measures
  const measured = await (carrier.inThread ? runEnd(task) : runOnWorker(task, reply));
  const reported = resultOf(await reply);
  const [sent, received] = reverse ? [measured, reported] : [reported, measured];
  return combine(plan, runtimeName(), sent as Transmitted, received as Received);
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

function resultOf(answer: Reply | undefined): Transmitted | Received {
  if (answer === undefined) throw new Error("the other end went away");
  if ("lack" in answer) throw new LackError(answer.lack);
  if ("error" in answer) throw new Error(`the other end: ${answer.error}`);
  return answer.result;
}

/** Ends early where the other end says that it has failed. */
async function runOnWorker(
  task: EndTask,
  reply: Promise<Reply | undefined>,
): Promise<Transmitted | Received> {
  const { worker, outcome } = start<Transmitted | Received>(task);
  const failed = reply.then((answer) => {
    resultOf(answer);
    return outcome;
  });
  try {
    return await Promise.race([outcome, failed]);
  } finally {
    await worker.terminate();
  }
}

/** Runs ends for others, one measurement at a time, for ever. */
export async function serveRemotes(plan: Plan, onError: (error: unknown) => void): Promise<never> {
  const carrier = TRANSPORTS[plan.transport];
  using transport = carrier.open(undefined);
  using listener = listen(carrier.address(undefined, plan.port), { transport });
  for (;;) {
    using conn = await listener.accept();
    try {
      await serveOne(conn, plan);
    } catch (error) {
      onError(error); // the next one may fare better
    }
  }
}

async function serveOne(conn: Conn<Address>, { transport, port }: Plan): Promise<void> {
  const lines = new Lines(conn);
  const asked = await lines.receive(ASKING_MS);
  if (asked === undefined) return;
  const reply = await serveRequest(lines, asked, transport, port)
    .catch(({ message: error }: Error): Reply => ({ error }));
  await lines.send(reply);
}

async function serveRequest(
  lines: Lines,
  asked: unknown,
  transport: TransportName,
  port: number,
): Promise<Reply> {
  const { role, plan, warmUpWakeups } = checkRequest(asked, transport, port);
  const lack = TRANSPORTS[transport].whyNot(plan.mode);
  if (lack !== undefined) return { lack: `it cannot receive by ${plan.mode}: ${lack}` };
  await lines.send({ go: true } satisfies Go);
  const { worker, outcome } = start<Transmitted | Received>({
    role,
    plan,
    peer: "there",
    end: undefined,
    control: new Control().memory,
    warmUpControl: new Control().memory,
    warmUpWakeups,
  });
  try {
    // The one that asked may go away meanwhile.
    const gone = lines.receive().then(() => {
      throw new Error("the end that asked went away");
    });
    return { result: await Promise.race([outcome, gone]) };
  } finally {
    await worker.terminate();
  }
}
