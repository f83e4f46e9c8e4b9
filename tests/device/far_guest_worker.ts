/** The far end of `worker_test.ts`: a machine, and the guest in it. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { pack, serveThrough } from "../conformance/worker_channel.ts";
import { Machine, type MachineOptions } from "./machine.ts";

const port = parentPort as MessagePort;
const machine = await Machine.start(workerData as MachineOptions);
serveThrough(port, machine.transport, () => machine.close());
port.postMessage(pack({ id: 0 })); // it is up
