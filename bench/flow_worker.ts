/**
 * The Worker that is one end of a flow: it reports once and ends.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { Control } from "../src/cli/perf/control.ts";
import type { EndReport } from "../src/cli/perf/worker.ts";
import type { FlowTask, Received, Sent } from "./flow.ts";
import { receiveLoopback, sendLoopback } from "./flow_loopback.ts";
import { receiveUnix, sendUnix } from "./flow_unix.ts";

function run({ role, flow, ends, path, control: memory }: FlowTask): Promise<Sent | Received> {
  const control = new Control(memory);
  if (flow.way === "unix" || flow.way === "unix-onread") {
    return role === "sender" ? sendUnix(path, flow, control) : receiveUnix(path, flow, control);
  }
  return role === "sender"
    ? sendLoopback(ends[0], flow, control)
    : receiveLoopback(ends[1], flow, control);
}

async function report(): Promise<EndReport<Sent | Received>> {
  try {
    return { result: await run(workerData as FlowTask) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

report().then((report) => parentPort?.postMessage(report));
