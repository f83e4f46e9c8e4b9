/**
 * 64 bytes there and back within one event loop: the loopback against TCP.
 *
 * @module
 */
import { connect, listen } from "../mod.ts";
import { createLoopback } from "../src/loopback/mod.ts";
import type { Bench, Round } from "./bench.ts";
import { tcp, type TcpEnd } from "./tcp.ts";
import { type End, measureRoundTrips, proveRoundTrip } from "./round_trips.ts";

async function withLoopback<Result>(
  use: (near: End, far: End) => Promise<Result>,
): Promise<Result> {
  const transport = createLoopback();
  using listener = listen({ cid: 1, port: 1024 }, { transport });
  using near = await connect({ cid: 1, port: 1024 }, { transport });
  using far = await listener.accept();
  return await use(near, far);
}

async function withTcp<Result>(
  use: (near: TcpEnd, far: TcpEnd) => Promise<Result>,
): Promise<Result> {
  const { near, far } = await tcp().pair();
  try {
    return await use(near, far);
  } finally {
    near.close();
    far.close();
  }
}

/** The loopback beside TCP. */
export const roundtrip: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    await withLoopback(proveRoundTrip);
    await withTcp(proveRoundTrip);
  },
  async round(): Promise<Round> {
    return {
      loopback: await withLoopback(measureRoundTrips),
      tcp: await withTcp(measureRoundTrips),
    };
  },
  rows: [{
    name: "roundtrip",
    what: "one event loop, 64 B round trips",
    ours: "loopback",
    peer: "tcp",
    peerIs: `TCP, ${tcp().api}`,
    unit: "1/s",
    target: { atLeast: 10 },
    note: "near.write, far.read, far.write, near.read, awaited in turn; TCP_NODELAY",
  }],
};
