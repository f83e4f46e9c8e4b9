/**
 * A channel to a far end in a Worker, and the far end's side of it.
 *
 * @module
 */
import { deserialize, serialize } from "node:v8";
import type { MessagePort, Worker } from "node:worker_threads";
import type { Transport } from "../../src/transport.ts";
import { Calls, type FarChannel, type NumberedCall, type NumberedReply } from "./calls.ts";
import { CLOSE_ALL, serve } from "./far.ts";

/** The channel to a Worker that calls {@linkcode serveThrough}. */
export function openChannel(worker: Worker): FarChannel {
  const calls = new Calls();
  worker.on("message", (message: ArrayBuffer) => calls.settle(unpack(message)));
  worker.on("error", (error) => calls.fail(`the far thread failed: ${error}`));
  const exited = new Promise<void>((resolve) => {
    worker.on("exit", () => {
      calls.fail("the far thread is gone");
      resolve();
    });
  });
  return {
    channel: (call) => calls.send(call, (message) => worker.postMessage(pack(message))),
    end() {
      worker.postMessage(pack({ id: 0 }));
      return exited;
    },
  };
}

/** Serves the calls that come through `port`, until the end; then calls `close`. */
export function serveThrough(port: MessagePort, transport: Transport, close: () => void): void {
  const channel = serve(transport);
  const answer = async (message: ArrayBuffer): Promise<void> => {
    const { id, call } = unpack<NumberedCall>(message);
    if (call !== undefined) return port.postMessage(pack({ id, reply: await channel(call) }));
    close();
    await channel(CLOSE_ALL); // or those that wait would keep the Worker
    port.off("message", answer); // which lets the Worker end; Deno's parentPort has no close()
  };
  port.on("message", answer);
}

/**
 * Makes one buffer of a message: Deno looks at each element of an array in one, which takes half a
 * second of a processor for the largest, and more than a link gives its peer where others run.
 */
export function pack(message: NumberedCall | NumberedReply): ArrayBuffer {
  const { buffer, byteOffset, length } = serialize(message);
  return buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer;
}

function unpack<Message extends NumberedCall | NumberedReply>(packed: ArrayBuffer): Message {
  return deserialize(new Uint8Array(packed));
}
