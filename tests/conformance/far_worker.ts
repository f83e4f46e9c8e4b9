/** The far end of `worker_test.ts`: serves calls that come through its port. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type LoopbackEnd, openLoopback } from "../../src/loopback/mod.ts";
import { serveThrough } from "./worker_channel.ts";

const { end } = workerData as { readonly end: LoopbackEnd };
const transport = openLoopback(end);
serveThrough(parentPort as MessagePort, transport, () => transport.close());
