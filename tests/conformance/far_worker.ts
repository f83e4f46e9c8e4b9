/** The far end of `worker_test.ts`: serves calls that come through its port. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type LoopbackEnd, openLoopback } from "../../src/loopback/mod.ts";
import { type Call, serve } from "./far.ts";

const { end } = workerData as { readonly end: LoopbackEnd };
const transport = openLoopback(end);
const channel = serve(transport);
const port = parentPort as MessagePort;

port.on("message", async (message: { readonly id: number; readonly call?: Call }) => {
  const { id, call } = message;
  if (call !== undefined) return port.postMessage({ id, reply: await channel(call) });
  transport.close();
  port.close();
});
