/** Conformance of a hybrid vsock: the host is here, the guest behind a stand-in for a VMM. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assertEquals } from "@std/assert";
import { openHybrid } from "../../src/hybrid/transport.ts";
import { createVmm } from "../../src/hybrid/vmm.ts";
import { listen } from "../../src/listen.ts";
import type { Lab, Pair } from "./case.ts";
import { CASES } from "./cases.ts";
import { openPair } from "./ends.ts";
import { HYBRID_DIFFERENCES } from "./hybrid_differences.ts";
import { conformance } from "./suite.ts";
import { openChannel } from "./worker_channel.ts";

const UNIX = "AF_UNIX carries it";

const lab: Lab = {
  name: "hybrid",
  has: new Set(["waitSync", "silence", "nowhere"]),
  lacks: {
    seqpacket: "no VMM carries messages; run it on the loopback",
    mapRx: `${UNIX}, which has no mapping; run it on the loopback`,
    spins: `${UNIX}, which has no mapping; run it on the loopback between threads`,
    wholeMessages: "no VMM carries messages; run it on the loopback",
    unprivileged: `${UNIX}, whose paths are guarded by their mode; run it on the loopback`,
    oneLoop: "the ends are two threads; run it on the loopback in one event loop",
    loss: "the sockets of a thread outlive it; run it on the loopback between threads",
    wire: `${UNIX}, which has no packets; run it on the loopback in one event loop`,
    tap: `${UNIX}, which has no packets; run it on the loopback`,
    clock: "the kernel's time is real; run it on the loopback in one event loop",
  },
  differs: HYBRID_DIFFERENCES,
  open(): Promise<Pair> {
    const folder = mkdtempSync(join(tmpdir(), "vsockit-"));
    const [path, mute] = [join(folder, "vm.sock"), join(folder, "mute.sock")];
    const silent = createVmm(mute, { faults: { answer: "silence" } });
    const address = { cid: silent.guest.localCid, port: 5000 };
    const unheard = listen(address, { transport: silent.guest });
    const worker = new Worker(new URL("far_hybrid_worker.ts", import.meta.url), {
      workerData: { path },
    });
    const { channel, end } = openChannel(worker);
    return openPair({
      transport: openHybrid(path),
      channel,
      silent: { transport: openHybrid(mute), address },
      nowhere: { cid: 77, port: 5000 },
      async close() {
        await end();
        unheard.close();
        silent.close();
        rmSync(folder, { recursive: true });
      },
    });
  },
};

test("HYBRID_DIFFERENCES are of cases that there are", () => {
  const names = new Set(CASES.map(({ name }) => name));
  assertEquals([...HYBRID_DIFFERENCES.keys()].filter((name) => !names.has(name)), []);
});

conformance(lab);
