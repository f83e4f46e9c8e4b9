/**
 * The driver of a virtqueue, in a Worker: adds chains, and gets each back in order.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { Driver } from "./virtqueue_driver.ts";
import { Event, ringOf, type Shared } from "./virtqueue_threads.ts";

const shared = workerData as Shared;
const { chains, eventIdx } = shared;
const [kick, call] = [new Event(shared, 0), new Event(shared, 1)];
const driver = new Driver({ ...ringOf(shared), eventIdx });
let [added, got, kicks] = [0, 0, 0];

function fill(): void {
  while (added < chains && driver.free > 0) {
    driver.add([{ address: 0, length: ++added, writable: true }]);
    if (driver.kickNeeded()) {
      kick.signal();
      kicks++;
    }
  }
}

function collect(): void {
  for (let used; (used = driver.getUsed()) !== undefined;) {
    if (used.length !== ++got) throw new Error(`chain ${used.length} came back in place of ${got}`);
  }
}

parentPort!.postMessage("ready"); // the device may look at the indices now
while (got < chains) {
  driver.disableCalls();
  fill();
  collect();
  if (got === chains || added < chains && driver.free > 0 || driver.enableCalls()) continue;
  call.wait();
}
parentPort!.postMessage({ got, kicks });
