/**
 * One measurement: both ends on a Worker each, watched from this thread.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { Control } from "./control.ts";
import type { Plan, Received, Transmitted } from "./plan.ts";
import { combine, type PerfResult } from "./result.ts";
import { runtimeName } from "./runtime.ts";
import { TRANSPORTS } from "./transports.ts";
import { watch } from "./watch.ts";
import type { EndReport, EndTask } from "./worker.ts";

const built = !import.meta.url.endsWith(".ts");
const WORKER_URL = startable(new URL(built ? "./worker.js" : "./worker.ts", import.meta.url));

/**
 * Runs `plan`; `onProgress` is called now and then with the part received, 0 to 1. Fails when an
 * end fails, when nothing moves for `stalledAfterMs`, and when the ends disagree. Both Workers end.
 */
export async function runPlan(
  plan: Plan,
  onProgress: (done: number) => void,
  stalledAfterMs?: number,
): Promise<PerfResult> {
  const transport = TRANSPORTS.get(plan.transport);
  if (transport === undefined) throw new Error(`No transport ${plan.transport}`);
  const { transmitter, receiver, cid } = transport.link(plan);
  const control = new Control();
  const warmUpControl = new Control().memory;
  const shared = { plan, cid, control: control.memory, warmUpControl };
  const ends: Worker[] = [];
  const start = <Result extends Transmitted | Received>(
    role: EndTask["role"],
    end: unknown,
  ): Promise<Result> => {
    const worker = new Worker(WORKER_URL, { workerData: { ...shared, role, end } });
    ends.push(worker);
    return outcome<Result>(role, worker);
  };
  const onTick = (): void => onProgress(control.received / plan.bytes);
  const watching = watch(control, onTick, stalledAfterMs);
  try {
    const both = Promise.all([
      start<Transmitted>("transmitter", transmitter),
      start<Received>("receiver", receiver),
    ]);
    const [sent, received] = await Promise.race([both, watching.stalled]);
    return combine(plan, runtimeName(), sent, received);
  } finally {
    watching.stop();
    await Promise.all(ends.map((worker) => worker.terminate()));
  }
}

/** From a registry Deno has this module as https:, which a Worker cannot be but can import. */
function startable(url: URL): URL {
  if (url.protocol === "file:") return url;
  return new URL(`data:text/javascript,${encodeURIComponent(`import "${url}";`)}`);
}

/** What the Worker reports, or why it did not. */
function outcome<Result extends Transmitted | Received>(
  role: string,
  worker: Worker,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    worker.once("message", (report: EndReport<Result>) => {
      if ("result" in report) resolve(report.result);
      else reject(new Error(`${role}: ${report.error}`));
    });
    worker.once("error", (error) => reject(new Error(`${role}: ${error}`)));
    worker.once("exit", (code) => reject(new Error(`${role}: its Worker ended with code ${code}`)));
  });
}
