/** Conformance of the loopback between threads: the far end is in a Worker. */
import { Worker } from "node:worker_threads";
import { createLoopbackLink, openLoopback } from "../../src/loopback/mod.ts";
import type { Header } from "../../src/virtio/packet.ts";
import type { Lab, Pair } from "./case.ts";
import { openPair } from "./ends.ts";
import { conformance } from "./suite.ts";
import { openChannel } from "./worker_channel.ts";

const lab: Lab = {
  name: "loopback between threads",
  has: new Set([
    "seqpacket",
    "mapRx",
    "wholeMessages",
    "waitSync",
    "spins",
    "silence",
    "loss",
    "nowhere",
    "tap",
  ]),
  lacks: {
    zeroCopySend: "the loopback always copies; run it in the guest by deno task vm",
    unprivileged: "a link is privileged; run it on the loopback in one event loop",
    oneLoop: "the ends are two threads; run it on the loopback in one event loop",
    wire: "the stack is the same; run it on the loopback in one event loop",
    clock: "time is real between threads; run it on the loopback in one event loop",
  },
  open(): Promise<Pair> {
    const [end, farEnd] = createLoopbackLink();
    const [endOfNobody] = createLoopbackLink();
    const nobody = openLoopback(endOfNobody);
    const packets: Header[] = [];
    const transport = openLoopback(end, { tap: (packet) => packets.push(packet) });
    const worker = new Worker(new URL("far_worker.ts", import.meta.url), {
      workerData: { end: farEnd },
    });
    const { channel, end: endWorker } = openChannel(worker);
    return openPair({
      transport,
      channel,
      packets,
      silent: { transport: nobody, address: { cid: nobody.peerCid, port: 5000 } },
      nowhere: { cid: 77, port: 5000 },
      async lose() {
        await worker.terminate();
      },
      async close() {
        await endWorker();
        transport.close();
        nobody.close();
      },
    });
  },
};

conformance(lab);
