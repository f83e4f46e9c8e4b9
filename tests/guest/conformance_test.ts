/** Conformance of the kernel's AF_VSOCK by vsock_loopback: the far end is in a Worker. */
import { Worker } from "node:worker_threads";
import { openVsock } from "../../src/kernel/transport.ts";
import type { Lab, Need, Pair } from "../conformance/case.ts";
import { openPair } from "../conformance/ends.ts";
import { conformance } from "../conformance/suite.ts";
import { openChannel } from "../conformance/worker_channel.ts";
import { kernelDifferences, NO_SEQPACKET, NO_ZEROCOPY } from "./kernel.ts";

const transport = openVsock();
const { mapRx } = transport.capabilities;
const mapping: readonly Need[] = mapRx ? ["mapRx", "spins"] : [];

const lab: Lab = {
  name: "kernel",
  has: new Set([
    ...["waitSync", "nowhere"] as const,
    ...(NO_SEQPACKET === false ? ["seqpacket"] as const : []),
    ...(NO_ZEROCOPY === false ? ["zeroCopySend"] as const : []),
    ...mapping,
  ]),
  differs: await kernelDifferences(),
  lacks: {
    ...(NO_SEQPACKET !== false && { seqpacket: NO_SEQPACKET }),
    ...(NO_ZEROCOPY !== false && { zeroCopySend: NO_ZEROCOPY }),
    mapRx: "the kernel has no SO_VM_SOCKETS_ZEROCOPY; run it on the lab flavour",
    spins: "the kernel has no SO_VM_SOCKETS_ZEROCOPY; run it on the lab flavour",
    wholeMessages: "Linux begins with a message that has credit for a part; run it on the loopback",
    unprivileged: "root binds any port; run it on the loopback in one event loop",
    oneLoop: "the kernel goes on while a thread blocks; run it on the loopback in one event loop",
    silence: "vsock_loopback always answers; run it on the loopback",
    loss: "the sockets of a thread outlive it; run it on the loopback between threads",
    wire: "the kernel's stack takes no packets from here; run it on the loopback in one event loop",
    tap: "the kernel's packets are not seen; run it on the loopback",
    clock: "the kernel's time is real; run it on the loopback in one event loop",
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
