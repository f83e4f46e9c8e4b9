/**
 * 64 bytes there and back within one event loop: the loopback against TCP.
 *
 * @module
 */
import { connect, listen } from "../mod.ts";
import { createLoopback } from "../src/loopback/mod.ts";
import type { Bench, Round } from "./bench.ts";
import { tcp, type TcpEnd } from "./tcp.ts";

const BYTES = 64;
const ROUND_MS = 500;
const TURNS_AT_ONCE = 100;

/** What both connections have in common. */
interface End {
  write(data: Uint8Array): Promise<unknown> | void;
  read(buffer: Uint8Array): Promise<number | null>;
}

/** Every step awaited in turn; gives the bytes that came back. */
async function turn(near: End, far: End, sent: Uint8Array, got: Uint8Array): Promise<Uint8Array> {
  await near.write(sent);
  requireWhole(await far.read(got));
  await far.write(got);
  requireWhole(await near.read(got));
  return got;
}

/** So few bytes are never split: to read on would be work that nobody does. */
function requireWhole(length: number | null): void {
  if (length !== BYTES) throw new Error(`A read gave ${length} bytes of ${BYTES}`);
}

/** Round trips a second. */
async function measureTurns(near: End, far: End): Promise<number> {
  const [sent, got] = [new Uint8Array(BYTES).fill(7), new Uint8Array(BYTES)];
  const start = performance.now();
  let [turns, ms] = [0, 0];
  for (; ms < ROUND_MS; ms = performance.now() - start) {
    for (let i = 0; i < TURNS_AT_ONCE; i++) await turn(near, far, sent, got);
    turns += TURNS_AT_ONCE;
  }
  return turns / ms * 1000;
}

async function proveTurn(near: End, far: End): Promise<void> {
  const sent = Uint8Array.from({ length: BYTES }, (_, index) => index * 5);
  const got = await turn(near, far, sent, new Uint8Array(BYTES));
  const wrong = got.findIndex((byte, index) => byte !== sent[index]);
  if (wrong >= 0) throw new Error(`Byte ${wrong} came back as ${got[wrong]}`);
}

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

/** Row 4 of the table. */
export const roundtrip: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    await withLoopback(proveTurn);
    await withTcp(proveTurn);
  },
  async round(): Promise<Round> {
    return { loopback: await withLoopback(measureTurns), tcp: await withTcp(measureTurns) };
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
