/**
 * One end of a run of `vsockit test`, on a thread of its own: posts what it prints, then `null`.
 */
import { parentPort, workerData } from "node:worker_threads";
import { runAlone } from "../../src/cli/test/alone.ts";
import type { Role } from "../../src/cli/test/options.ts";
import { type LoopbackEnd, openLoopback } from "../../src/loopback/mod.ts";

const { end, role } = workerData as { readonly end: LoopbackEnd; readonly role: Role };
const print = (text: string): void => parentPort?.postMessage(text);
using transport = openLoopback(end);
try {
  await runAlone(role, { peerPort: 1234, chosen: () => true }, transport, print);
} catch (error) {
  print(String(error));
}
parentPort?.postMessage(null);
