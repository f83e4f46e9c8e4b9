import { test } from "node:test";
import { once } from "node:events";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { Virtqueue } from "../../../src/virtio/virtqueue.ts";
import { Event, ringOf, share, type Shared } from "./virtqueue_threads.ts";

const SCRIPT = new URL("./virtqueue_worker.ts", import.meta.url);
/** With a ring of one, about each of them puts both threads to sleep. */
const CHAINS = Number(process.env["VSOCKIT_CHAINS"] ?? 25_000);

/** Takes and gives back all chains; sleeps whenever there is none. */
function serve(shared: Shared): void {
  const { eventIdx, chains } = shared;
  const [kick, call] = [new Event(shared, 0), new Event(shared, 1)];
  const memory = { bytes: (): undefined => undefined };
  const options = { ...ringOf(shared), memory, eventIdx, indirect: false, base: 0 };
  const queue = new Virtqueue(options);
  for (let popped = 0; popped < chains;) {
    queue.disableKicks();
    for (let chain; (chain = queue.pop()) !== undefined;) {
      if (chain.writable !== ++popped) throw new Error(`${chain.writable} in place of ${popped}`);
      queue.push(chain.head, chain.writable);
    }
    if (queue.publish()) call.signal();
    if (popped < chains && !queue.enableKicks()) kick.wait();
  }
}

for (const eventIdx of [false, true]) {
  for (const size of [1, 4, 128]) {
    const mode = eventIdx ? "by index" : "by flags";

    test(`Virtqueue serves a driver in another thread, size ${size}, ${mode}`, {
      timeout: 240_000,
    }, async () => {
      const shared = share(size, eventIdx, CHAINS);
      const worker = new Worker(SCRIPT, { workerData: shared });
      await once(worker, "message");
      serve(shared);
      const [{ got, kicks }] = await once(worker, "message");
      assertEquals(got, CHAINS);
      assertGreater(kicks, 0);
      assertLessOrEqual(kicks, CHAINS);
      await worker.terminate();
    });
  }
}
