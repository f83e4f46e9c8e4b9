import { test } from "node:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { assertEquals, assertGreater } from "@std/assert";
import { close } from "../../../ffi/libc.ts";
import { createMemfd } from "../../../ffi/memfd.ts";
import { type Litmus, LITMUS_BYTES, LITMUS_PAIRS, runLitmus } from "./virtqueue_litmus.ts";

const SCRIPT = new URL("./virtqueue_litmus_worker.ts", import.meta.url);

for (const [pair, what] of LITMUS_PAIRS) {
  test(`SplitRing stores before it loads, in mapped memory: ${what}`, {
    timeout: 120_000,
  }, async () => {
    const fd = createMemfd("litmus", LITMUS_BYTES);
    const sync = new Int32Array(new SharedArrayBuffer(8));
    const litmus: Litmus = { fd, sync, pair };
    const worker = new Worker(SCRIPT, { workerData: litmus });
    try {
      await once(worker, "message");
      const near = runLitmus(litmus, true);
      const [far] = await once(worker, "message");
      assertGreater(near.length, 0);
      assertEquals(far.length, near.length);
      assertEquals(near.filter((saw, round) => saw === 0 && far[round] === 0).length, 0);
    } finally {
      await worker.terminate();
      close(fd);
    }
  });
}
