/**
 * One measurement: each end on a Worker, watched from this thread.
 *
 * @module
 */
import { setTimeout } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { SysError } from "../../../ffi/errno.ts";
import { hintBeneath } from "../../hint.ts";
import { startWorker } from "../../runtime/thread_start.ts";
import { Control } from "./control.ts";
import type { Alone, Plan } from "./plan.ts";
import {
  combine,
  type Measured,
  type PerfResult,
  type Received,
  type ReceivedResult,
  receivedResult,
  type SentResult,
  sentResult,
  type Transmitted,
} from "./result.ts";
import { TRANSPORTS } from "./transports.ts";
import { watch } from "./watch.ts";
import type { EndTask } from "./end.ts";
import type { EndReport } from "./worker.ts";
import { requireWorker, WORKER_URL } from "./worker_url.ts";

const INTERVAL_MS = 100;
const MOMENT_MS = 500;

/**
 * Runs both ends of `plan`; `onProgress` is called now and then with the part received, 0 to 1.
 * Fails when an end fails, when nothing moves for `stalledAfterMs`, and when the ends disagree.
 * Both Workers end.
 */
export async function runPlan(
  plan: Plan,
  onProgress: (done: number) => void,
  stalledAfterMs?: number,
): Promise<PerfResult> {
  const transport = TRANSPORTS[plan.transport];
  if (transport.link === undefined) throw new Error(`${plan.transport} needs another process`);
  const link = transport.link(plan);
  const [control, warmUp] = [new Control(), new Control()];
  const shared = {
    plan,
    peer: "here",
    control: control.memory,
    warmUp: { control: warmUp.memory, wakeups: transport.warmUpWakeups },
  } as const;
  const onTick = (): void => onProgress(control.received / plan.bytes);
  const { transmitter, receiver, machine } = link;
  const watching = watch(control, warmUp, onTick, stalledAfterMs);
  const ends: End<unknown>[] = [];
  const run = <Result extends Measured>(task: EndTask): Promise<Result> => {
    const end = start<Result>(task);
    ends.push(end);
    end.outcome.catch(() => {}); // nobody hears of it where the other end cannot start
    return end.outcome;
  };
  try {
    const both = bothOf(
      run<Transmitted>({ ...shared, role: "transmitter", end: transmitter }),
      run<Received>({ ...shared, role: "receiver", end: receiver, machine }),
    );
    const [sent, received] = await Promise.race([both, watching.stalled]);
    return combine(plan, sent, received);
  } finally {
    watching.stop();
    await Promise.all(ends.map(({ worker }) => worker.terminate()));
  }
}

/**
 * What both ends report. Where one fails it takes the other down, and which of them says so first
 * is chance: the other one has a moment to say why it has failed too.
 */
async function bothOf<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  try {
    return await Promise.all([one, other]);
  } catch (first) {
    const settled = Promise.allSettled([one, other]);
    const outcomes = await Promise.race([settled, setTimeout(MOMENT_MS, [])]);
    const reasons = outcomes.flatMap((end) => end.status === "rejected" ? [end.reason] : []);
    if (reasons.length < 2) throw first;
    throw new Error(reasons.map(({ message }) => message).join("; "));
  }
}

/**
 * Runs one end of `plan`, whose peer is another process and may take its time to come. `onProgress`
 * is called now and then with the part sent; a receiver does not know how much will come.
 */
export async function runAlone(
  plan: Plan,
  { role, machine: peer }: Alone,
  onProgress: (done: number) => void,
): Promise<SentResult | ReceivedResult> {
  const control = new Control();
  const machine = peer && await TRANSPORTS[plan.transport].resolve?.(peer, plan.port);
  const { worker, outcome } = start<Measured>({
    role,
    plan,
    machine,
    peer: "there",
    end: machine,
    control: control.memory,
  });
  const ticking = setInterval(() => {
    if (role === "transmitter") onProgress(control.sent / plan.bytes);
  }, INTERVAL_MS);
  try {
    const seen = await outcome;
    return "wakeups" in seen ? receivedResult(plan, seen) : sentResult(plan, seen);
  } finally {
    clearInterval(ticking);
    await worker.terminate();
  }
}

/** One end on a Worker of its own. */
export interface End<Result> {
  readonly worker: Worker;
  readonly outcome: Promise<Result>;
}

/**
 * Starts one end on a Worker, which the caller terminates. Throws where its script is missing, or
 * there can be no other thread.
 */
export function start<Result extends Measured>(task: EndTask): End<Result> {
  requireWorker(WORKER_URL);
  try {
    const worker = startWorker(WORKER_URL, { workerData: task });
    return { worker, outcome: outcomeOf<Result>(task.role, worker) };
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new Error(`Cannot start the ${task.role}: ${hintBeneath(error.op, error.code)}`);
  }
}

/** What a Worker reports that is one end of something, or why it did not. */
export function outcomeOf<Result>(role: string, worker: Worker): Promise<Result> {
  return new Promise((resolve, reject) => {
    worker.once("message", (report: EndReport<Result>) => {
      if ("result" in report) resolve(report.result);
      else reject(new Error(`${role}: ${report.error}`));
    });
    worker.once("error", (error) => reject(new Error(`${role}: ${error}`)));
    worker.once("exit", (code) => reject(new Error(`${role}: its Worker ended with code ${code}`)));
  });
}
