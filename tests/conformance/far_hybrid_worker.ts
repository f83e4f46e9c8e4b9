/** The far end of `hybrid_test.ts`: a stand-in for a VMM, and the guest in it. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { createVmm } from "../../src/hybrid/vmm.ts";
import { serveThrough } from "./worker_channel.ts";

const { path } = workerData as { readonly path: string };
const vmm = createVmm(path);
serveThrough(parentPort as MessagePort, vmm.guest, () => vmm.close());
