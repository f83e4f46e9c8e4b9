/** Conformance of TCP of this machine's kernel, as far as it keeps the promises of VM sockets. */
import { Worker } from "node:worker_threads";
import type { Case, Lab, Pair } from "./case.ts";
import { CASES } from "./cases.ts";
import { openPair } from "./ends.ts";
import { conformance } from "./suite.ts";
import { openTcpAsVsock } from "./tcp_as_vsock.ts";
import { DIFFERENT } from "./tcp_differs.ts";
import { openChannel } from "./worker_channel.ts";

const different: ReadonlySet<string> = new Set(Object.values(DIFFERENT).flat());

const lab: Lab = {
  name: "TCP",
  has: new Set(["waitSync", "zeroCopySend"]),
  lacks: {},
  open(): Promise<Pair> {
    const worker = new Worker(new URL("tcp_worker.ts", import.meta.url));
    const { channel, end } = openChannel(worker);
    return openPair({ transport: openTcpAsVsock(), channel, close: end });
  },
};

/** Those that say something about TCP: the others need what it never has. */
const cases: readonly Case[] = CASES.filter(({ name, needs }) =>
  needs.every((need) => lab.has.has(need)) && !different.has(name)
);

conformance(lab, cases);
