/** Conformance of the loopback inside one event loop, on a clock that stands still. */
import { createLoopback, ManualClock } from "../../src/loopback/mod.ts";
import type { Header } from "../../src/virtio/packet.ts";
import type { Lab, Pair } from "./case.ts";
import { openPair } from "./ends.ts";
import { serve } from "./far.ts";
import { conformance } from "./suite.ts";

const lab: Lab = {
  name: "loopback",
  has: new Set([
    "seqpacket",
    "mapRx",
    "wholeMessages",
    "oneLoop",
    "unprivileged",
    "silence",
    "nowhere",
    "tap",
    "wire",
    "clock",
  ]),
  lacks: {
    zeroCopySend: "the loopback always copies; run it in the guest by deno task vm",
    loss: "both ends share this thread; run it between Workers",
    waitSync: "both ends share this thread; run it between Workers",
    spins: "both ends share this thread; run it between Workers",
  },
  open(): Promise<Pair> {
    const clock = new ManualClock();
    const packets: Header[] = [];
    const transport = createLoopback({
      clock,
      privileged: false,
      tap: (packet) => packets.push(packet),
    });
    return openPair({
      transport,
      channel: serve(transport),
      packets,
      silent: {
        transport: createLoopback({ clock, faults: { dropAfterBytes: 0 } }),
        address: { cid: 1, port: 5000 },
      },
      nowhere: { cid: 77, port: 5000 },
      async elapse(ms) {
        clock.advance(ms);
        await new Promise((resolve) => setTimeout(resolve, 0));
      },
    });
  },
};

conformance(lab);
