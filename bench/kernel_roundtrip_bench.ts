/**
 * 64 bytes there and back over AF_VSOCK within one event loop: ours against Deno's own.
 *
 * @module
 */
import { VMADDR_CID_LOCAL } from "../ffi/abi/vm_sockets.ts";
import { connect, listen } from "../mod.ts";
import { openVsock } from "../src/kernel/transport.ts";
import { RUNTIME } from "../tests/helpers/runtime.ts";
import type { Bench, Round } from "./bench.ts";
import { denoPair } from "./deno_net.ts";
import { requireLocalVsock } from "./kernel_here.ts";
import { type End, measureRoundTrips, proveRoundTrip } from "./round_trips.ts";

const [OURS, THEIRS] = [2_001, 2_002];

async function withOurs<Result>(use: (near: End, far: End) => Promise<Result>): Promise<Result> {
  requireLocalVsock();
  const transport = openVsock();
  const address = { cid: VMADDR_CID_LOCAL, port: OURS };
  using listener = listen(address, { transport });
  using near = await connect(address, { transport });
  using far = await listener.accept();
  return await use(near, far);
}

async function withDenos<Result>(use: (near: End, far: End) => Promise<Result>): Promise<Result> {
  const { near, far } = await denoPair({
    transport: "vsock",
    cid: VMADDR_CID_LOCAL,
    port: THEIRS,
  });
  try {
    return await use(near, far);
  } finally {
    near.close();
    far.close();
  }
}

/** Other runtimes have no vsock of their own: there the row has no peer. */
const peer = RUNTIME === "deno"
  ? { peer: "deno", peerIs: "Deno.connect", target: { atLeast: 1.5 } }
  : {};

/** AF_VSOCK by our connections beside Deno's. */
export const kernelRoundtrip: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    await withOurs(proveRoundTrip);
    if (RUNTIME === "deno") await withDenos(proveRoundTrip);
  },
  async round(): Promise<Round> {
    const ours = await withOurs(measureRoundTrips);
    return RUNTIME === "deno" ? { ours, deno: await withDenos(measureRoundTrips) } : { ours };
  },
  rows: [{
    name: "kernel-roundtrip",
    what: "AF_VSOCK, 64 B round trips",
    ours: "ours",
    unit: "1/s",
    note:
      "near.write, far.read, far.write, near.read, awaited in turn, both ends in one event loop",
    ...peer,
  }],
};
