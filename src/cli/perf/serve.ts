/**
 * `vsockit perf --serve`: runs the other end of whatever `remote.ts` elsewhere asks for.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";
import { listen } from "../../listen.ts";
import { acceptPatiently } from "../serving/accept.ts";
import { Control } from "./control.ts";
import { Lines } from "./lines.ts";
import type { Plan, TransportName } from "./plan.ts";
import { checkRequest, type Go, type Reply } from "./request.ts";
import type { Measured } from "./result.ts";
import { start } from "./run.ts";
import { TRANSPORTS } from "./transports.ts";

/** How long who has connected may take to ask: one after the other is served. */
const ASKING_MS = 5_000;

/** Runs ends for others, one measurement at a time, for ever. */
export async function serveRemotes(plan: Plan, onError: (error: Error) => void): Promise<never> {
  const carrier = TRANSPORTS[plan.transport];
  using transport = carrier.open(undefined);
  using listener = listen(carrier.address(undefined, plan.port), { transport });
  const onFull = (error: Error, before: number): void => {
    if (before === 0) onError(error);
  };
  for (;;) {
    using conn = await acceptPatiently(listener, onFull);
    try {
      await serveOne(conn, plan);
    } catch (error) {
      onError(error as Error); // the next one may fare better
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
  const { worker, outcome } = start<Measured>({
    role,
    plan,
    peer: "there",
    end: undefined,
    control: new Control().memory,
    warmUp: { control: new Control().memory, wakeups: warmUpWakeups },
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
