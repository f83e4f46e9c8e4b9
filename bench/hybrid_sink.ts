/**
 * The VM that the benches of a hybrid vsock send to: a Worker that counts bytes and throws them
 * away, the same whoever sends.
 *
 * @module
 */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { createVmm } from "../src/hybrid/vmm.ts";
import { listen } from "../src/listen.ts";

/** The port in the VM. */
export const SINK_PORT = 1024;

/** Starts the Worker, which disposing ends; resolves once the VMM listens on `path`. */
export async function openSink(path: string): Promise<AsyncDisposable> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { sinkPath: path } });
  await new Promise<void>((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
  });
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      worker.postMessage("end");
      await ended;
    },
  };
}

/** Takes each connection to its end, and then says how many bytes there were. */
async function sink(path: string): Promise<void> {
  using vmm = createVmm(path);
  using listener = listen({ cid: 3, port: SINK_PORT }, { transport: vmm.guest });
  parentPort?.once("message", () => listener.close());
  parentPort?.postMessage("up");
  const into = new Uint8Array(256 * 1024);
  for await (const conn of listener) {
    while (await conn.read(into) !== null);
    await conn.write(new Uint8Array(Float64Array.of(conn.bytesRead).buffer));
    conn.close();
  }
}

const task = workerData as { readonly sinkPath?: string } | null;
if (!isMainThread && task?.sinkPath !== undefined) await sink(task.sinkPath);
