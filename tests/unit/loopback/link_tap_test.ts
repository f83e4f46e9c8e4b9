/** Taps of a link that throw, or make calls. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { POLLERR } from "../../../ffi/abi/poll.ts";
import { connect } from "../../../src/connect.ts";
import { listen } from "../../../src/listen.ts";
import { END_WORDS, WORD } from "../../../src/loopback/link_memory.ts";
import { createLoopbackLink, openLoopback } from "../../../src/loopback/mod.ts";
import { Uncaught } from "../../helpers/uncaught.ts";

const TIMEOUT = { timeout: 60_000 };
const HOST = 2;
const ADDRESS = { cid: HOST, port: 1024 };

for (const type of ["stream", "seqpacket"] as const) {
  test(`what a tap throws is uncaught, and costs nothing (${type})`, TIMEOUT, async () => {
    using uncaught = new Uncaught();
    const [end, other] = createLoopbackLink({ smallBlocks: 4, largeBlocks: 2 });
    let thrown = 0;
    using host = openLoopback(end, {
      tap: () => {
        thrown++;
        throw new Error("tap");
      },
    });
    using guest = openLoopback(other);
    using listener = listen({ cid: 3, port: 1024 }, { transport: guest, type });
    using near = await connect({ cid: 3, port: 1024 }, { transport: host, type });
    using far = await listener.accept();
    const data = new Uint8Array(2 * 65_536).fill(7); // all large blocks
    const got = new Uint8Array(data.length);
    for (let times = 0; times < 5; times++) { // more than there is credit for at first
      for (const [from, to] of [[near, far], [far, near]] as const) {
        assertEquals(from.socket.send(data, 0), data.length);
        assertEquals([to.socket.recv(got.fill(0), 0), from.unsentBytes], [data.length, 0]);
        assertEquals(got, data);
      }
    }
    near.close();
    assertEquals(await far.read(got), null);
    assertEquals(uncaught.messages, Array(thrown).fill("tap"));
  });
}

test(
  "a send that finds that the peer of a link broke the rules takes in nothing of it, nor throws",
  TIMEOUT,
  async () => {
    const [end, other] = createLoopbackLink({ ringEntries: 2 });
    const control = new Int32Array(end.link.control);
    let sends = (): void => {};
    let came = 0;
    using host = openLoopback(end, {
      tap: ({ srcCid, len }) => {
        if (len === 0) return;
        if (srcCid === HOST) return sends();
        came++;
      },
    });
    using guest = openLoopback(other);
    using listener = listen({ cid: 3, port: 1024 }, { transport: guest });
    using near = await connect({ cid: 3, port: 1024 }, { transport: host });
    using far = await listener.accept();
    for (let i = 0; i < 2; i++) near.socket.send(Uint8Array.of(1), 0); // the ring is full
    sends = (): void => { // as the other thread may meanwhile
      far.socket.send(Uint8Array.of(1), 0);
      control[END_WORDS + WORD.head]! += 100;
    };
    assertEquals(near.socket.send(Uint8Array.of(1), 0), 1);
    assertEquals([near.socket.poll(POLLERR), near.unsentBytes, came], [POLLERR, 0, 0]);
  },
);

test("a tap of a link may make calls, and packets stay in order", TIMEOUT, async () => {
  const [end, other] = createLoopbackLink();
  let call = (): void => {};
  using host = openLoopback(end, { tap: () => call() });
  using guest = openLoopback(other);
  using listener = listen(ADDRESS, { transport: host });
  using near = await connect(ADDRESS, { transport: guest });
  using far = await listener.accept();
  call = (): void => void far.socket.poll(0);
  for (const byte of [1, 2, 3]) near.socket.send(Uint8Array.of(byte), 0);
  const p = new Uint8Array(3);
  assertEquals([far.socket.recv(p, 0), ...p, near.unsentBytes], [3, 1, 2, 3, 0]);
});
