/**
 * Whether a ready event costs more where very many sockets wait for one that does not come.
 *
 * @module
 */
import { type Conn, connect, listen, openVsock, VMADDR_PORT_ANY } from "../mod.ts";
import type { Bench, Round } from "./bench.ts";
import { requireLocalVsock } from "./kernel_here.ts";
import { measureRoundTrips, proveRoundTrip } from "./round_trips.ts";

const [FEW, MANY, AT_ONCE] = [100, 10_000, 100] as const;
/** Linux is busy for seconds with the ends of so many connections, those of the round before. */
const TIMEOUT_MS = 120_000;
/** Rounds before the one that counts. */
const SETTLING = 6;

/**
 * Runs `use` on a pair, with `count` ends beside it that wait to read. They are of another
 * listener: Linux looks for the socket of a packet among all that one has accepted
 * (`vsock_connected_table`).
 */
async function beside<Result>(
  count: number,
  use: (near: Conn, far: Conn) => Promise<Result>,
): Promise<Result> {
  const transport = openVsock();
  const address = { cid: 1, port: VMADDR_PORT_ANY };
  using ours = listen(address, { transport });
  using near = await connect({ cid: 1, port: ours.addr.port }, {
    transport,
    timeoutMs: TIMEOUT_MS,
  });
  using far = await ours.accept();
  using listener = listen(address, { transport, backlog: AT_ONCE });
  const to = { cid: 1, port: listener.addr.port };
  const idle: Conn[] = [];
  try {
    while (idle.length < count) {
      const some = Array.from(
        { length: AT_ONCE / 2 },
        () => connect(to, { transport, timeoutMs: TIMEOUT_MS }),
      );
      for (const _ of some) idle.push(await listener.accept());
      idle.push(...await Promise.all(some));
    }
    for (const conn of idle) conn.read(new Uint8Array(1)).catch(() => {});
    // After so many waits in vain it has to settle, and the memory of so many to be sorted.
    for (let i = 0; i < SETTLING; i++) await measureRoundTrips(near, far);
    return await use(near, far);
  } finally {
    for (const conn of idle) conn.close();
  }
}

/** The row about idle connections. */
export const kernelIdle: Bench = {
  rounds: 3,
  async prove(): Promise<void> {
    requireLocalVsock();
    await beside(FEW, proveRoundTrip);
  },
  async round(): Promise<Round> {
    return {
      many: await beside(MANY, measureRoundTrips),
      few: await beside(FEW, measureRoundTrips),
    };
  },
  rows: [{
    name: "kernel-idle",
    what: "AF_VSOCK, 64 B round trips beside 10,000 idle ends",
    ours: "many",
    peer: "few",
    peerIs: "beside 100",
    unit: "1/s",
    target: { atLeast: 0.8 },
    note: "each idle end has a read pending",
  }],
};
