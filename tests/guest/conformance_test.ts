/** Conformance of the kernel's AF_VSOCK by vsock_loopback: the far end is in a Worker. */
import "../vm/in_guest.ts";
import { Worker } from "node:worker_threads";
import { openVsock } from "../../src/kernel/transport.ts";
import type { Lab, Pair } from "../conformance/case.ts";
import { openPair } from "../conformance/ends.ts";
import { conformance } from "../conformance/suite.ts";
import { openChannel } from "../conformance/worker_channel.ts";
import { kernelDifferences } from "./kernel.ts";
import { KERNEL_HAS, KERNEL_LACKS } from "./kernel_lab.ts";

const transport = openVsock();

const lab: Lab = {
  name: "kernel",
  has: new Set([...KERNEL_HAS, "nowhere"]),
  differs: await kernelDifferences(),
  lacks: {
    ...KERNEL_LACKS,
    silence: "vsock_loopback always answers; run it on the loopback",
    loss: "the sockets of a thread outlive it; run it on the loopback between threads",
  },
  open(): Promise<Pair> {
    const worker = new Worker(new URL("far_kernel_worker.ts", import.meta.url));
    const { channel, end } = openChannel(worker);
    return openPair({
      transport,
      channel,
      nowhere: { cid: 77, port: 5000 },
      close: end,
    });
  },
};

conformance(lab);
