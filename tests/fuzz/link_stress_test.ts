/**
 * Many connections between two threads at once, each with its bytes checked: see `link_stress.ts`.
 *
 * `VSOCKIT_SEED=<seed>` does the same again, as far as two threads do; `VSOCKIT_STEPS` is how many
 * connections a run has.
 *
 * @module
 */
import { test } from "node:test";
import { once } from "node:events";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { LARGE_BLOCK } from "../../src/loopback/link_memory.ts";
import { createLoopbackLink, type LinkOptions, openLoopback } from "../../src/loopback/mod.ts";
import { requireWhole, runFar, runNear } from "./link_stress.ts";
import type { StressData, StressMessage } from "./link_stress_worker.ts";

const SEED = Number(process.env["VSOCKIT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const CONNECTIONS = Number(process.env["VSOCKIT_STEPS"] ?? 60);
const AT_ONCE = 12;
const SCRIPT = new URL("./link_stress_worker.ts", import.meta.url);

/** Has the other thread open connection `seed`. */
function openedThere(worker: Worker, seed: number): Promise<void> {
  return new Promise((resolve) => {
    const hear = (message: StressMessage): void => {
      if (message.seed !== seed) return;
      worker.off("message", hear);
      resolve();
    };
    worker.on("message", hear);
    worker.postMessage({ seed } satisfies StressMessage);
  });
}

for (
  const [what, options, largeBlocks] of [
    ["with little memory", { smallBlocks: 8, largeBlocks: 3, ringEntries: 16 }, 3],
    ["as it is made", {}, 96],
  ] as const satisfies readonly (readonly [string, LinkOptions, number])[]
) {
  const name =
    `LinkedLoopback ${what} carries ${CONNECTIONS} connections, whatever becomes of them`;
  test(name, { timeout: 300_000 }, async () => {
    console.log(`replay: VSOCKIT_SEED=${SEED} VSOCKIT_STEPS=${CONNECTIONS}`);
    const [end, other] = createLoopbackLink(options);
    const max = largeBlocks * LARGE_BLOCK;
    const worker = new Worker(SCRIPT, { workerData: { end: other, max } satisfies StressData });
    try {
      await once(worker, "message");
      using transport = openLoopback(end);
      const failed = Promise.withResolvers<never>();
      using _listeners = runFar(transport, end.cid, max, failed.reject);
      worker.on("error", failed.reject);
      worker.on("message", ({ error }: StressMessage) => {
        if (error !== undefined) failed.reject(new Error(error));
      });
      const row = async (_: unknown, i: number): Promise<void> => {
        for (let n = i; n < CONNECTIONS; n += AT_ONCE) {
          const seed = (SEED + n) >>> 0;
          if (n % 3 > 0) await runNear(transport, end.peerCid, seed);
          else await openedThere(worker, seed);
        }
      };
      const rows = Array.from({ length: AT_ONCE }, row);
      await Promise.race([failed.promise, Promise.all(rows)]);
      await requireWhole(transport, end.peerCid, max);
    } finally {
      await worker.terminate();
    }
  });
}
