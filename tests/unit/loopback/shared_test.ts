import { test } from "node:test";
import { setImmediate } from "node:timers";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
} from "../../../ffi/abi/virtio_vsock.ts";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { Link } from "../../../src/loopback/link.ts";
import { END_WORDS, type LinkEnd, WORD } from "../../../src/loopback/link_memory.ts";
import {
  createLoopbackLink,
  type LinkedLoopback,
  type LoopbackEnd,
  type LoopbackLinkOptions,
  openLoopback,
} from "../../../src/loopback/mod.ts";
import type { SocketOptionValues } from "../../../src/options.ts";
import { type SocketType, WOULD_BLOCK } from "../../../src/socket.ts";
import type { Tap } from "../../../src/stack/node.ts";
import { turn } from "../../../src/wait/turns.ts";
import { packet } from "./link_pair.ts";

const TIMEOUT = { timeout: 60_000 };
const HOST = 2;
const ADDRESS = { cid: HOST, port: 1024 };

interface Ends extends Disposable {
  readonly host: LinkedLoopback;
  readonly guest: LinkedLoopback;
  readonly links: readonly [LinkEnd, LinkEnd];
}

function open(options: LoopbackLinkOptions): Ends {
  const [end, other] = createLoopbackLink(options);
  const [host, guest] = [openLoopback(end), openLoopback(other)];
  return {
    host,
    guest,
    links: [end.link, other.link],
    [Symbol.dispose](): void {
      host.close();
      guest.close();
    },
  };
}

/** A connection of the guest to the host: near, far. */
async function pair(
  { host, guest }: Ends,
  type: SocketType = "stream",
  options: SocketOptionValues = {},
): Promise<[Conn, Conn]> {
  using listener = listen(ADDRESS, { transport: host, type, options });
  const near = await connect(ADDRESS, { transport: guest, type, options });
  return [near, await listener.accept()];
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, VsockError)).code;
}

test(
  "openLoopback() hears of no connections but those of the CID at the other end",
  TIMEOUT,
  async () => {
    const [end, other] = createLoopbackLink();
    using host = openLoopback(end);
    using hostile = new Link(other.link);
    using listener = listen({ cid: VMADDR_CID_ANY, port: 1024 }, { transport: host });
    using near = await connect(ADDRESS, { transport: host });
    using far = await listener.accept();
    const spoof = { srcCid: HOST, dstCid: HOST, dstPort: 1024, type: 1, bufAlloc: 262_144 };
    const srcPort = far.remoteAddr.port;
    const free = hostile.freeBlocks;
    const payload = hostile.allocate(Uint8Array.of(6, 6, 6))!;
    hostile.send(packet({ ...spoof, srcPort, op: VIRTIO_VSOCK_OP_RW, len: 3, payload }));
    hostile.send(packet({ ...spoof, srcPort, op: VIRTIO_VSOCK_OP_RST }));
    hostile.send(packet({ ...spoof, srcPort: 7777, op: VIRTIO_VSOCK_OP_REQUEST }));
    hostile.send(packet({ ...spoof, srcCid: 3, dstCid: 9, op: VIRTIO_VSOCK_OP_REQUEST }));
    await near.write(Uint8Array.of(1));
    const p = new Uint8Array(8);
    assertEquals([await far.read(p), p[0]], [1, 1]);
    assertEquals(await codeOf(listener.accept({ timeoutMs: 50 })), "ETIMEDOUT");
    assertEquals(hostile.freeBlocks, free);
  },
);

test("sendMessage() over a link refuses what its blocks can never hold", TIMEOUT, async () => {
  using ends = open({ largeBlocks: 2 });
  const [near, far] = await pair(ends, "seqpacket", { bufferSize: 1 << 20 });
  assertEquals(await codeOf(near.sendMessage(new Uint8Array(2 * 65_536 + 1))), "EMSGSIZE");
  await near.sendMessage(new Uint8Array(2 * 65_536));
  assertEquals((await far.receiveMessage())?.data.length, 2 * 65_536);
  near.close();
  far.close();
});

test("poll() over a link is not OUT for a message with too few blocks left", TIMEOUT, async () => {
  using ends = open({ largeBlocks: 2 });
  const [near, far] = await pair(ends, "seqpacket");
  await near.sendMessage(new Uint8Array(65_536));
  const whole = new Uint8Array(2 * 65_536);
  assertEquals(near.socket.send(whole, 0), WOULD_BLOCK);
  assertEquals(near.socket.poll(POLLOUT), 0); // it had one of the two, and gave it back
  const waited = near.sendMessage(whole);
  await far.receiveMessage();
  await waited;
  assertEquals((await far.receiveMessage())?.length, whole.length);
  near.close();
  far.close();
});

test("write() over a link goes on after its own buffer was made smaller", TIMEOUT, async () => {
  using ends = open({});
  const [near, far] = await pair(ends);
  await near.write(new Uint8Array(100_000));
  const p = new Uint8Array(100_000);
  for (let have = 0; have < p.length;) have += (await far.read(p))!;
  near.options.bufferSize = 65_536; // as if the bytes before it were still under way
  assertEquals(await near.write(Uint8Array.of(1), { timeoutMs: 30_000 }), 1);
  near.close();
  far.close();
});

test("writes over a link go on, however many receivers map it", TIMEOUT, async () => {
  using ends = open({ smallBlocks: 4, largeBlocks: 1 });
  const conns: Conn[] = [];
  for (let i = 0; i < 5; i++) {
    const [near, far] = await pair(ends, "stream", { zeroCopyReceive: true });
    assertEquals(near.receiver().mapped, true);
    conns.push(near, far);
  }
  const [near, far] = conns.slice(-2) as [Conn, Conn];
  const p = new Uint8Array(8);
  for (let i = 0; i < 20; i++) {
    await near.write(Uint8Array.of(i));
    assertEquals([await far.read(p), p[0]], [1, i]);
  }
  for (const conn of conns) conn.close();
});

test("Conn.receiver() maps over a link that has no page 0 left, and waits", TIMEOUT, async () => {
  using ends = open({ smallBlocks: 2 }); // one page 0
  const waits = [{}, { wait: "spin" }, { wait: "spin", timeoutMs: 30_000 }] as const;
  for (const options of waits) {
    const [near, far] = await pair(ends, "stream", { zeroCopyReceive: true });
    const receiver = near.receiver({ mode: "map" });
    for (let i = 0; i < 3; i++) {
      const received = receiver.receive(options);
      await far.write(Uint8Array.of(i));
      using batch = await received;
      const bytes = [...batch!].map(({ data }) => data[0]);
      assertEquals([bytes, batch!.mapped, batch!.volatile], [[i], true, true]);
    }
    await far.write(Uint8Array.of(9));
    receiver.receiveSync(options)![Symbol.dispose]();
    far.close();
    assertEquals(await receiver.receive(options), null);
  }
});

test("Conn.receiver() of a link that is gone maps, and tells how it ended", TIMEOUT, async () => {
  using ends = open({});
  const [near, far] = await pair(ends, "stream", { zeroCopyReceive: true });
  ends.host.close();
  assertEquals(await codeOf(near.read(new Uint8Array(1))), "ECONNRESET");
  const receiver = near.receiver({ mode: "map" });
  assertEquals(await codeOf(receiver.receive()), "ECONNRESET");
  assertEquals(await codeOf(far.write(new Uint8Array(1))), "ECONNRESET");
  assertEquals(await codeOf(connect(ADDRESS, { transport: ends.guest })), "ENODEV");
});

test(
  "a link keeps 1024 connections at most that its peer does not let close",
  TIMEOUT,
  async () => {
    const [end, other] = createLoopbackLink();
    using host = openLoopback(end);
    using peer = new Link(other.link);
    using listener = listen(ADDRESS, { transport: host });
    const fields = { srcCid: 3, dstCid: HOST, dstPort: 1024, op: VIRTIO_VSOCK_OP_REQUEST };
    let resets = 0;
    for (let srcPort = 5_000; srcPort < 6_100; srcPort++) {
      peer.send(packet({ ...fields, srcPort }));
      (await listener.accept()).close();
      peer.pump(({ op }) => resets += op === VIRTIO_VSOCK_OP_RST ? 1 : 0);
    }
    assertEquals(resets, 76);
  },
);

test("timers run while a link's peer never pauses", TIMEOUT, async () => {
  const [end, other] = createLoopbackLink();
  using peer = new Link(other.link);
  const fields = { srcCid: 3, srcPort: 7, dstCid: HOST, type: 1, op: VIRTIO_VSOCK_OP_RST };
  let sent = 0;
  const more = (): void => {
    if (sent++ < 100_000) peer.send(packet(fields));
  };
  using _host = openLoopback(end, { tap: more });
  more();
  await new Promise((resolve) => setTimeout(resolve, 1)); // the host begins to listen meanwhile
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(sent < 100_000, true);
});

test("a link has nobody wait for a timer, however often its peer wakes it", TIMEOUT, async () => {
  const [end, other] = createLoopbackLink();
  using peer = new Link(other.link);
  let heard = 0;
  using host = openLoopback(end, { tap: () => void heard++ });
  using socket = host.socket("stream");
  let waits = 0;
  socket.turns.next = () => {
    waits++;
    return Promise.resolve();
  };
  const fields = { srcCid: 3, srcPort: 7, dstCid: HOST, type: 1, op: VIRTIO_VSOCK_OP_RST };
  for (let sent = 1; sent <= 300; sent++) {
    peer.send(packet(fields));
    while (heard < sent) await new Promise((resolve) => setImmediate(resolve));
  }
  assertEquals(waits, 0);
});

test("waitSync() over a link that is gone sleeps", TIMEOUT, () => {
  using ends = open({});
  using listener = ends.host.socket("stream");
  listener.bind(ADDRESS);
  listener.listen(0);
  ends.guest.close();
  const { wait } = Atomics;
  Reflect.set(Atomics, "wait", () => {
    throw new Error("slept");
  });
  try {
    assertThrows(() => listener.waitSync(POLLIN, 10_000), Error, "slept");
  } finally {
    Reflect.set(Atomics, "wait", wait);
  }
});

test("a link that is gone is looked at no more", TIMEOUT, async () => {
  using ends = open({});
  await asleep(ends.links[0]);
  ends.guest.close();
  ends.host.socket("stream").poll(0); // it hears of that
  const { store } = Atomics;
  let looks = 0;
  Reflect.set(Atomics, "store", (...asked: Parameters<typeof store>) => {
    looks++;
    return store(...asked);
  });
  try {
    await new Promise((resolve) => setTimeout(resolve, 20));
  } finally {
    Reflect.set(Atomics, "store", store);
  }
  assertEquals(looks < 5, true); // not on and on
});

test("openLoopback() says that its thread sleeps only when that returns to its event loop", () => {
  const [end] = createLoopbackLink();
  using _host = openLoopback(end);
  assertEquals(new Int32Array(end.link.control)[WORD.sleeping], 0);
});

test("Conn.receiver() maps a connection inside of a link's thread", TIMEOUT, async () => {
  const [end] = createLoopbackLink();
  using host = openLoopback(end);
  const options = { zeroCopyReceive: true };
  using listener = listen(ADDRESS, { transport: host, options });
  using near = await connect(ADDRESS, { transport: host, options });
  using far = await listener.accept();
  await near.write(Uint8Array.of(1));
  using batch = await far.receiver({ mode: "map" }).receive();
  assertEquals([batch!.byteLength, batch!.volatile], [1, false]);
});

test("a listener over a link keeps no memory of what belongs to no connection", TIMEOUT, () => {
  const [end, other] = createLoopbackLink();
  using host = openLoopback(end);
  using peer = new Link(other.link);
  using _listener = listen(ADDRESS, { transport: host });
  using socket = host.socket("stream");
  const free = peer.freeBlocks;
  const to = { srcCid: 3, srcPort: 7777, dstCid: HOST, type: 1, bufAlloc: 262_144, len: 1 };
  for (const dstPort of [1024, 1025]) { // listened at, and not
    const payload = peer.allocate(Uint8Array.of(1))!;
    peer.send(packet({ ...to, dstPort, op: VIRTIO_VSOCK_OP_RW, payload }));
  }
  socket.poll(0);
  const answers: number[] = [];
  peer.pump(({ op }) => answers.push(op));
  assertEquals([answers, peer.freeBlocks], [[VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_RST], free]);
});

test("a peek over a link and the read after it are the same bytes", TIMEOUT, async () => {
  const [end, other] = createLoopbackLink();
  using host = openLoopback(end);
  using guest = openLoopback(other);
  using listener = listen(ADDRESS, { transport: host });
  using near = await connect(ADDRESS, { transport: guest });
  using far = await listener.accept();
  await near.write(new TextEncoder().encode("length=0004"));
  const [peeked, read] = [new Uint8Array(11), new Uint8Array(11)];
  await far.read(peeked, { peek: true });
  for (const block of other.link.lanes[1].blocks) {
    const bytes = new Uint8Array(block, 0, 11);
    if (bytes[0] !== 0) bytes.fill(57); // a peer that writes where it has no more business
  }
  await far.read(read);
  assertEquals(peeked, read);
});

test("what comes over a link while waits are woken ends each of them once", TIMEOUT, async () => {
  const [end, other] = createLoopbackLink();
  let onShutdown = (): void => {};
  const tap: Tap = ({ op }) => {
    if (op === VIRTIO_VSOCK_OP_SHUTDOWN) onShutdown();
  };
  using host = openLoopback(end, { tap });
  using guest = openLoopback(other);
  using listener = listen({ cid: 3, port: 1024 }, { transport: guest });
  using near = await connect({ cid: 3, port: 1024 }, { transport: host });
  using far = await listener.accept();
  const writing = near.write(new Uint8Array(1 << 20));
  const reading = near.read(new Uint8Array(8));
  await new Promise((resolve) => setTimeout(resolve, 20));
  onShutdown = (): void => { // as the other thread may, between the call and its wake-up
    onShutdown = (): void => {};
    far.socket.recv(new Uint8Array(1 << 19), 0);
    far.socket.send(new Uint8Array(5), 0);
  };
  await near.closeRead();
  await reading;
  for (let left = 1 << 20; left > 0;) {
    const n = await far.read(new Uint8Array(1 << 20), { timeoutMs: 10_000 });
    left -= n ?? left;
    if (near.bytesWritten === 1 << 20) break;
  }
  assertEquals(await writing, 1 << 20);
});

/** Resolves when the event loop sleeps until something comes to `end`. */
async function asleep({ control, side }: LinkEnd): Promise<void> {
  const words = new Int32Array(control);
  while (words[side * END_WORDS + WORD.sleeping] === 0) await turn();
}

/** What comes to `end` while `send` runs is there, and nobody is woken by it. */
function unheard({ control, side }: LinkEnd, send: () => void): void {
  new Int32Array(control)[side * END_WORDS + WORD.sleeping] = 0;
  send();
}

test("what has come over a link wins over the signal of the wait for it", TIMEOUT, async () => {
  const [end, other] = createLoopbackLink();
  using host = openLoopback(end);
  using guest = openLoopback(other);
  using listener = listen(ADDRESS, { transport: host });
  using near = await connect(ADDRESS, { transport: guest });
  using far = await listener.accept();
  const controller = new AbortController();
  const p = new Uint8Array(8);
  const reading = near.read(p, { signal: controller.signal });
  await asleep(other.link);
  unheard(other.link, () => far.socket.send(Uint8Array.of(1, 2, 3), 0));
  controller.abort();
  assertEquals([await reading, ...p.subarray(0, 3)], [3, 1, 2, 3]);
  const next = near.read(p, { signal: AbortSignal.abort() });
  await assertRejects(() => next, DOMException);
});

test("a connection that ended before its link did has ended well", TIMEOUT, async () => {
  using ends = open({ deadAfterMs: 2_000 });
  const [near, far] = await pair(ends);
  const p = new Uint8Array(8);
  const reading = far.read(p);
  await asleep(ends.links[0]);
  unheard(ends.links[0], () => { // a beat tells of it
    near.socket.send(Uint8Array.of(1, 2, 3), 0);
    near.close();
    ends.guest.close();
  });
  assertEquals([await reading, ...p.subarray(0, 3)], [3, 1, 2, 3]);
  assertEquals(await far.read(p), null);
  far.close();
});

test("an answer that has come over a link in time makes a connection", TIMEOUT, async () => {
  const [end, other] = createLoopbackLink();
  using host = openLoopback(end);
  using peer = new Link(other.link);
  await asleep(end.link);
  // From here on to the answer without a turn: its time begins.
  const connecting = connect({ cid: 3, port: 7 }, { transport: host, timeoutMs: 100 });
  peer.pump(({ srcPort }) => {
    const ports = { srcPort: 7, dstPort: srcPort, bufAlloc: 262_144 };
    const answer = packet({ ...ports, srcCid: 3, dstCid: HOST, op: VIRTIO_VSOCK_OP_RESPONSE });
    unheard(end.link, () => peer.send(answer));
  });
  const conn = await connecting;
  assertEquals(conn.remoteAddr.port, 7);
  conn.close();
});

test("openLoopback refuses what is no end, such as both of them", () => {
  for (const given of [undefined, {}, createLoopbackLink()]) {
    assertThrows(() => openLoopback(given as unknown as LoopbackEnd), TypeError, "end must be of");
  }
});
