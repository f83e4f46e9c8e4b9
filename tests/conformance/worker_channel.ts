/**
 * A channel to a far end in a Worker, and the far end's side of it.
 *
 * @module
 */
import type { MessagePort, Worker } from "node:worker_threads";
import type { Transport } from "../../src/transport.ts";
import { type Call, type Channel, type Reply, serve } from "./far.ts";

/** The way to a far end in a Worker. */
export interface WorkerChannel {
  /** Calls by message; a Worker that dies fails what it owes. */
  readonly channel: Channel;
  /** Ends the Worker, which may have died; resolves when it is gone. */
  end(): Promise<void>;
}

/** The channel to a Worker that calls {@linkcode serveThrough}. */
export function openChannel(worker: Worker): WorkerChannel {
  const pending = new Map<number, (reply: Reply) => void>();
  let last = 0;
  const fail = (message: string): void => {
    for (const settle of pending.values()) settle({ message });
    pending.clear();
  };
  worker.on("message", ({ id, reply }: { id: number; reply: Reply }) => {
    pending.get(id)?.(reply);
    pending.delete(id);
  });
  worker.on("error", (error) => fail(`the far thread failed: ${error}`));
  const exited = new Promise<void>((resolve) => {
    worker.on("exit", () => {
      fail("the far thread is gone");
      resolve();
    });
  });
  return {
    channel: (call) =>
      new Promise((resolve) => {
        pending.set(++last, resolve);
        worker.postMessage({ id: last, call });
      }),
    end() {
      worker.postMessage({ id: 0 });
      return exited;
    },
  };
}

/** Serves the calls that come through `port`, until the end; then calls `close`. */
export function serveThrough(port: MessagePort, transport: Transport, close: () => void): void {
  const channel = serve(transport);
  const answer = async (message: { readonly id: number; readonly call?: Call }): Promise<void> => {
    const { id, call } = message;
    if (call !== undefined) return port.postMessage({ id, reply: await channel(call) });
    close();
    port.off("message", answer); // which lets the Worker end; Deno's parentPort has no close()
  };
  port.on("message", answer);
}
