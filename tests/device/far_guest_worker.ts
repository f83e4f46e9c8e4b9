/** The far end of `worker_test.ts`: a machine, and the guest in it. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { serveThrough } from "../conformance/worker_channel.ts";
import { Machine, type MachineOptions } from "./machine.ts";

const port = parentPort as MessagePort;
const machine = await Machine.start(workerData as MachineOptions);
serveThrough(port, machine.transport, () => machine.close());
port.postMessage({ id: 0, faults: machine.guest.faults });
