/** Conformance of the device with its guest in another thread, so that this one can block. */
import { Worker } from "node:worker_threads";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import type { Header } from "../../src/virtio/packet.ts";
import type { Lab, Pair } from "../conformance/case.ts";
import { openPair } from "../conformance/ends.ts";
import { conformance } from "../conformance/suite.ts";
import { openChannel } from "../conformance/worker_channel.ts";
import { deviceLab, freshPath, GUEST_CID } from "./lab.ts";

const near = deviceLab("device and a thread", {});

const lab: Lab = {
  ...near,
  has: new Set(["seqpacket", "mapRx", "wholeMessages", "waitSync", "loss", "tap"]),
  lacks: {
    ...near.lacks,
    spins: "this thread alone writes poll_value; run it on the loopback between threads",
    silence: "the ends are two threads; run it with both in one event loop",
    nowhere: "the ends are two threads; run it with both in one event loop",
  },
  async open(): Promise<Pair> {
    const packets: Header[] = [];
    const tap = (packet: Header): void => void packets.push(packet);
    const socketPath = freshPath();
    const device = createVsockDevice({ socketPath, guestCid: GUEST_CID, tap });
    const worker = new Worker(new URL("far_guest_worker.ts", import.meta.url), {
      workerData: { socketPath },
    });
    const { channel, end } = openChannel(worker);
    await new Promise((resolve) => worker.once("message", resolve));
    await device.guest.ready();
    return openPair({
      transport: device,
      channel,
      packets,
      lose: end,
      async close() {
        await end();
        device.close();
      },
    });
  },
};

conformance(lab);
