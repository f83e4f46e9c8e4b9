/** Taps of a link that throw, or make calls. */
import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { PROT_READ } from "../../../ffi/abi/mman.ts";
import { POLLERR, POLLIN, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import {
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_RW,
} from "../../../ffi/abi/virtio_vsock.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { Link } from "../../../src/loopback/link.ts";
import { END_WORDS, WORD } from "../../../src/loopback/link_memory.ts";
import { createLoopbackLink, openLoopback } from "../../../src/loopback/mod.ts";
import { packet } from "./link_pair.ts";

const TIMEOUT = { timeout: 60_000 };
const HOST = 2;
const ADDRESS = { cid: HOST, port: 1024 };

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, VsockError)).code;
}

test("a tap of a link that throws costs one packet, and not its memory", () => {
  const [end, other] = createLoopbackLink();
  using host = openLoopback(end, {
    tap: () => {
      throw new Error("tap");
    },
  });
  using peer = new Link(other.link);
  const free = peer.freeBlocks;
  const payload = peer.allocate(Uint8Array.of(1))!;
  peer.send(packet({ srcCid: 3, dstCid: HOST, op: VIRTIO_VSOCK_OP_RW, len: 1, payload }));
  using socket = host.socket("stream");
  assertThrows(() => socket.poll(0), Error, "tap");
  assertEquals([socket.poll(0), peer.freeBlocks], [0, free]);
});

for (const type of ["stream", "seqpacket"] as const) {
  test(
    `a tap that throws as a link sends (${type}) costs nothing`,
    TIMEOUT,
    async () => {
      const [end, other] = createLoopbackLink({ smallBlocks: 4, largeBlocks: 2 });
      let throws = false;
      using host = openLoopback(end, {
        tap: ({ len }) => {
          if (throws && len > 0) throw new Error("tap");
        },
      });
      using guest = openLoopback(other);
      using listener = listen({ cid: 3, port: 1024 }, { transport: guest, type });
      using near = await connect({ cid: 3, port: 1024 }, { transport: host, type });
      const data = new Uint8Array(2 * 65_536); // all large blocks
      throws = true;
      for (let times = 0; times < 5; times++) { // more than there is credit for
        assertThrows(() => near.socket.send(data, 0), Error, "tap");
      }
      throws = false;
      assertEquals([near.unsentBytes, near.socket.send(data, 0)], [0, data.length]);
      listener.close();
    },
  );
}

test(
  "a mapping is filled, and frees what it has, though a tap throws as credit is told",
  TIMEOUT,
  async () => {
    const [end, other] = createLoopbackLink({ largeBlocks: 3 });
    let throws = false;
    using host = openLoopback(end, {
      tap: ({ srcCid, op }) => {
        if (throws && srcCid === HOST && op === VIRTIO_VSOCK_OP_CREDIT_UPDATE) {
          throw new Error("tap");
        }
      },
    });
    using guest = openLoopback(other);
    const options = { zeroCopyReceive: true };
    using listener = listen(ADDRESS, { transport: host, options });
    using near = await connect(ADDRESS, { transport: guest });
    using far = await listener.accept();
    const data = new Uint8Array(3 * 65_536).fill(7); // all large blocks
    assertEquals(near.socket.send(data, 0), data.length);
    far.socket.poll(0);
    const mapping = far.socket.mmap(data.length + 4_096, PROT_READ);
    throws = true;
    assertThrows(() => mapping.mapRx(), Error, "tap");
    throws = false;
    assertEquals([0, 16, 32].map((page) => mapping.lend(page, 65_536)[0]), [7, 7, 7]);
    mapping.advise();
    assertEquals(near.socket.send(data.subarray(65_536), 0), 65_536); // what there is credit for
  },
);

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
        throw new Error("tap");
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

test("close() over a link ends what waits, though a tap throws meanwhile", TIMEOUT, async () => {
  for (const cid of [2, 3]) { // of what comes, and of what is sent
    const [end, other] = createLoopbackLink();
    let throws = false;
    using host = openLoopback(end, {
      tap: ({ srcCid }) => {
        if (throws && srcCid === cid) throw new Error("tap");
      },
    });
    using guest = openLoopback(other);
    using listener = listen({ cid: 3, port: 1024 }, { transport: guest });
    const near = await connect({ cid: 3, port: 1024 }, { transport: host });
    using far = await listener.accept();
    const reading = codeOf(near.read(new Uint8Array(1)));
    throws = true;
    far.socket.send(Uint8Array.of(1), 0);
    assertThrows(() => near.close(), Error, "tap");
    assertEquals(await reading, "EBADF");
    throws = false;
  }
});

test("a listener closes all that nobody has accepted, though a tap throws at the first", () => {
  const [end, other] = createLoopbackLink();
  let throws = 0;
  using host = openLoopback(end, {
    tap: () => {
      if (throws-- > 0) throw new Error("tap");
    },
  });
  using guest = openLoopback(other);
  using listener = host.socket("stream");
  listener.bind(ADDRESS);
  listener.listen(2);
  using first = guest.socket("stream");
  using second = guest.socket("stream");
  for (const socket of [first, second]) socket.connect(ADDRESS);
  assertEquals(listener.poll(POLLIN), POLLIN);
  throws = 1;
  assertThrows(() => listener.close(), Error, "tap");
  assertEquals([first.poll(POLLRDHUP), second.poll(POLLRDHUP)], [0, POLLRDHUP]);
});

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

test(
  "a link whose peer is gone ends its connections, though a tap throws at what came last",
  TIMEOUT,
  async () => {
    const [end, other] = createLoopbackLink();
    const beats: (() => void)[] = [];
    let throws = false;
    const { setInterval } = globalThis;
    globalThis.setInterval = ((beat: () => void, ms: number) => {
      beats.push(beat);
      return setInterval(beat, ms);
    }) as typeof setInterval;
    using host = openLoopback(end, {
      tap: () => {
        if (throws) throw new Error("tap");
      },
    });
    globalThis.setInterval = setInterval;
    using guest = openLoopback(other);
    using listener = listen({ cid: 3, port: 1024 }, { transport: guest });
    using near = await connect({ cid: 3, port: 1024 }, { transport: host });
    using far = await listener.accept();
    const reading = codeOf(near.read(new Uint8Array(1), { timeoutMs: 30_000 }));
    throws = true;
    far.socket.send(Uint8Array.of(1), 0);
    guest.close();
    assertThrows(beats[0]!, Error, "tap"); // before this thread has looked for packets
    throws = false;
    assertEquals(await reading, "ECONNRESET");
  },
);
