import { test } from "node:test";
import { setImmediate } from "node:timers";
import { POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Conn, connect, listen, VsockError } from "../../../mod.ts";
import {
  createLoopback,
  type LoopbackFaults,
  type LoopbackOptions,
  ManualClock,
} from "../../../src/loopback/mod.ts";
import { ChaosWire } from "../../../src/loopback/chaos.ts";
import { seeded } from "../../../src/loopback/random.ts";
import { StackTransport } from "../../../src/stack/transport.ts";
import type { LoopbackTransport } from "../../../src/loopback/transport.ts";
import { StackNode } from "../../../src/stack/node.ts";

const ADDRESS = { cid: 1, port: 1024 };
const LONG = { timeout: 60_000 };

async function pair(transport: LoopbackTransport): Promise<[Conn, Conn]> {
  using listener = listen(ADDRESS, { transport });
  const near = await connect(ADDRESS, { transport });
  return [near, await listener.accept()];
}

function withFaults(faults: LoopbackFaults, more: LoopbackOptions = {}): LoopbackTransport {
  return createLoopback({ faults, ...more });
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Reads to the end; what came, and the code it ended with. */
async function drain(conn: Conn): Promise<{ bytes: number; code: string }> {
  const p = new Uint8Array(4_096);
  let bytes = 0;
  try {
    for (let n = await conn.read(p); n !== null; n = await conn.read(p)) bytes += n;
    return { bytes, code: "end" };
  } catch (error) {
    return { bytes, code: (error as VsockError).code };
  }
}

test("refuse: a connect is answered by RST, with the probability given", LONG, async () => {
  const always = withFaults({ refuse: 1 });
  using _listener = listen(ADDRESS, { transport: always });
  const error = await assertRejects(() => connect(ADDRESS, { transport: always }), VsockError);
  assertEquals(error.code, "ECONNRESET");

  const often = withFaults({ refuse: 0.5 }, { seed: 3 });
  using _other = listen(ADDRESS, { transport: often, backlog: 100 });
  let refused = 0;
  for (let i = 0; i < 100; i++) {
    await connect(ADDRESS, { transport: often }).then((conn) => conn.close(), () => refused++);
  }
  assert(refused > 25 && refused < 75, `${refused} of 100 refused`);
});

test("resetAfterBytes: both ends see the end once that much has passed", LONG, async () => {
  const [near, far] = await pair(withFaults({ resetAfterBytes: 10_000 }));
  using _near = near;
  using _far = far;
  const sent = (async () => {
    for (;;) await near.write(new Uint8Array(1_000));
  })();
  assertEquals(await drain(far), { bytes: 10_000, code: "end" });
  assertEquals((await assertRejects(() => sent, VsockError)).code, "EPIPE");
});

test("dropAfterBytes: the peer falls silent, and a close timer ends it", LONG, async () => {
  const clock = new ManualClock();
  const transport = withFaults({ dropAfterBytes: 3_000 }, { clock });
  const [near, far] = await pair(transport);
  await near.write(new Uint8Array(2_999));
  await near.write(new Uint8Array(1)); // this one does not arrive any more
  assertEquals(await far.read(new Uint8Array(4_096)), 2_999);
  near.close();
  const quiet = await assertRejects(
    () => far.read(new Uint8Array(1), { timeoutMs: 20 }),
    VsockError,
  );
  assertEquals(quiet.code, "ETIMEDOUT");
  far.close();
  clock.advance(8_000); // both give up, and their ports are free again
  using _again = listen(ADDRESS, { transport });
});

test("dropAfterBytes: 0 lets a connect run into its timeout", LONG, async () => {
  const clock = new ManualClock();
  const transport = withFaults({ dropAfterBytes: 0 }, { clock });
  using _listener = listen(ADDRESS, { transport });
  const connecting = connect(ADDRESS, { transport });
  await Promise.resolve();
  clock.advance(2_000);
  assertEquals((await assertRejects(() => connecting, VsockError)).code, "ETIMEDOUT");
});

/** A loopback over a wire that can be asked. */
function overWire(faults: LoopbackFaults, clock: ManualClock): [LoopbackTransport, ChaosWire] {
  const node = new StackNode({ cids: [1], firstPort: 2_000, clock });
  const random = seeded(1);
  const { turns } = node;
  const wire = new ChaosWire(node, { random, clock, delayMs: 0, faults, shuffle: true, turns });
  node.useWire(wire);
  return [new StackTransport("loopback", node), wire];
}

test("ChaosWire counts the bytes of no connection that is over", LONG, async () => {
  const all: LoopbackFaults[] = [
    ...[0, 1_000, 5_000].map((resetAfterBytes) => ({ resetAfterBytes })),
    ...[0, 1_000, 5_000].map((dropAfterBytes) => ({ dropAfterBytes })),
    { refuse: 0.5, resetAfterBytes: 1_000 },
  ];
  for (const faults of all) {
    const clock = new ManualClock();
    const [transport, wire] = overWire(faults, clock);
    using listener = listen(ADDRESS, { transport });
    for (let i = 0; i < 20; i++) {
      using near = transport.socket("stream");
      near.connect(ADDRESS);
      await nextTurn();
      using far = listener.socket.accept();
      for (const end of i % 4 === 0 ? [] : i % 4 === 1 ? [near, far] : [near]) {
        if (end?.poll(POLLOUT | POLLRDHUP) === POLLOUT) end.send(new Uint8Array(2_000), 0);
      }
      if (i % 2 === 0) await nextTurn();
      far?.close();
    }
    await nextTurn();
    clock.advance(8_000); // those whose goodbye was lost give up
    await nextTurn();
    assertEquals(wire.counted, 0, JSON.stringify(faults));
  }
});

test("creditLimit: no more than that is ever on its way", LONG, async () => {
  const [near, far] = await pair(withFaults({ creditLimit: 100 }));
  using _near = near;
  using _far = far;
  assertEquals(near.socket.send(new Uint8Array(1_000), 0), 100);
  assertEquals(near.socket.send(new Uint8Array(1_000), 0), -1);
  const written = near.write(new Uint8Array(10_000)).then(() => near.closeWrite());
  assertEquals(await drain(far), { bytes: 10_100, code: "end" });
  await written;
});

test("shortReads and shortWrites cut calls short and lose nothing", LONG, async () => {
  const [near, far] = await pair(withFaults({ shortReads: 0.9, shortWrites: 0.9 }, { seed: 5 }));
  using _near = near;
  using _far = far;
  const data = Uint8Array.from({ length: 50_000 }, (_, i) => i % 251);
  const written = near.write(data).then(() => near.closeWrite());
  const got: number[] = [];
  const p = new Uint8Array(1_000);
  let reads = 0;
  for (let n = await far.read(p); n !== null; n = await far.read(p), reads++) {
    got.push(...p.subarray(0, n));
  }
  await written;
  assertEquals(Uint8Array.from(got), data);
  assert(reads > 60, `${reads} reads of up to 1000 bytes`);
});

test("delayMs: packets are late by the clock, and stay in order", LONG, async () => {
  const clock = new ManualClock();
  const transport = createLoopback({ delayMs: 1_000, seed: 11, clock });
  using listener = listen(ADDRESS, { transport });
  const connecting = connect(ADDRESS, { transport, timeoutMs: 30_000 });
  const accepting = listener.accept();
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let done = false;
    promise.finally(() => done = true);
    for (let i = 0; i < 10_000 && !done; i++) {
      clock.advance(1);
      await Promise.resolve();
    }
    return await promise;
  };
  using near = await settled(connecting);
  using far = await settled(accepting);
  assert(clock.now() >= 2, `${clock.now()} ms`);
  for (let i = 0; i < 20; i++) await near.write(Uint8Array.of(i));
  const got: number[] = [];
  const p = new Uint8Array(1);
  while (got.length < 20) {
    await settled(far.read(p));
    got.push(p[0]!);
  }
  assertEquals(got, Array.from({ length: 20 }, (_, i) => i));
});

test("createLoopback() refuses what is out of range", () => {
  const misspelt = { refuse: 1, shortRead: 0.5 } as LoopbackFaults;
  assertThrows(
    () => createLoopback({ faults: misspelt }),
    TypeError,
    "Cannot use faults: must have no members but refuse, shortReads, shortWrites, " +
      "resetAfterBytes, dropAfterBytes, creditLimit: current value has shortRead",
  );
  assertThrows(() => createLoopback({ faults: null as never }), TypeError, "must be an object");
  assertThrows(() => createLoopback({ delayMs: "1" as never }), TypeError, "must be a number");
  assertThrows(() => createLoopback({ seed: -1 }), RangeError);
  assertThrows(() => createLoopback({ seed: 2 ** 32 }), RangeError);
  assertThrows(() => createLoopback({ delayMs: NaN }), RangeError);
  assertThrows(() => createLoopback({ delayMs: 2 ** 31 }), RangeError, "from 0 to 2147483647");
  assertThrows(() => createLoopback({ faults: { refuse: 1.1 } }), RangeError);
  assertThrows(() => createLoopback({ faults: { resetAfterBytes: -1 } }), RangeError);
  assertThrows(() => createLoopback({ faults: { creditLimit: NaN } }), RangeError);
  assertThrows(() => createLoopback().socket("dgram" as "stream"), TypeError);
});

test("tap sees each packet before it is delivered", LONG, async () => {
  const seen: number[] = [];
  const [near, far] = await pair(createLoopback({ tap: ({ op }) => seen.push(op) }));
  using _near = near;
  using _far = far;
  await near.write(Uint8Array.of(1));
  assertEquals(await far.read(new Uint8Array(4)), 1);
  assertEquals(seen.slice(0, 3), [1, 2, 5]); // REQUEST, RESPONSE, RW
});

test("privileged: without it ports up to 1023 are EACCES, port 0 too", () => {
  const transport = createLoopback({ privileged: false });
  for (const port of [0, 1, 1_023]) {
    const error = assertThrows(() => listen({ cid: 1, port }, { transport }), VsockError);
    assertEquals([error.op, error.code], ["bind", "EACCES"]);
  }
  listen({ cid: 1, port: 1_024 }, { transport }).close();
});

test(
  "delayMs: a timer of real time that comes when all is delivered finds nothing",
  LONG,
  async () => {
    const transport = createLoopback({ delayMs: 1 });
    using listener = listen({ cid: 1, port: 1024 }, { transport });
    using near = await connect({ cid: 1, port: 1024 }, { transport });
    using far = await listener.accept();
    const reading = (async (): Promise<number> => {
      let got = 0;
      const p = new Uint8Array(1024);
      for (let n = await far.read(p); n !== null; n = await far.read(p)) got += n;
      return got;
    })();
    // Timers are late: a packet that is sent meanwhile has those before it delivered.
    let sent = 0;
    for (const end = performance.now() + 500; performance.now() < end; sent++) {
      await near.write(Uint8Array.of(1));
      for (const gap = performance.now() + Math.random() * 1.5; performance.now() < gap;) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await near.closeWrite();
    assertEquals(await reading, sent);
  },
);
