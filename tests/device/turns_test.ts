/** Whatever a VMM and its guest do, the event loop gets its turns. */
import { setImmediate } from "node:timers";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from "../../ffi/abi/eventfd.ts";
import { POLLIN } from "../../ffi/abi/poll.ts";
import { VIRTIO_VSOCK_OP_RW } from "../../ffi/abi/virtio_vsock.ts";
import { close, eventfd, write } from "../../ffi/file_calls.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import { frame, FrontEnd } from "./front_end.ts";
import { TX } from "../../src/vhost_user/guest.ts";
import { HEADER_SIZE } from "../../src/virtio/packet.ts";
import { view, writeDesc } from "../unit/virtio/virtqueue_driver.ts";
import type { GuestRing } from "./guest_ring.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

const NOTHING: Uint8Array<ArrayBuffer> = new Uint8Array(0);

const NEXT = 1;
const PORT = 1_024;
const RING_SIZE = 2_048;
/** Descriptors that all chains of a guest share, and how many chains there are. */
const [TAIL, CHAINS] = [1_023, 256];

/** How many turns the event loop has while `act` goes on. */
async function turnsOf(act: () => Promise<void>): Promise<number> {
  let [turns, goesOn] = [0, true];
  const turn = (): void => {
    turns++;
    if (goesOn) setImmediate(turn);
  };
  setImmediate(turn);
  await act();
  goesOn = false;
  return turns;
}

test("VsockDevice gives the event loop a turn after some messages of a VMM", {
  timeout: 60_000,
}, async () => {
  const socketPath = freshPath();
  using _device = createVsockDevice({ socketPath, guestCid: GUEST_CID });
  using frontEnd = await FrontEnd.connect(socketPath);
  await frontEnd.settled();
  const message = frame(REQUEST.SET_OWNER, NOTHING);
  const messages = new Uint8Array(4_096 * message.length);
  for (let at = 0; at < messages.length; at += message.length) messages.set(message, at);
  const turns = await turnsOf(async () => {
    await frontEnd.write(messages);
    await frontEnd.settled();
  });
  assert(turns >= 32, `4096 messages took ${turns} turns`);
});

/** Makes chains of 1024 descriptors available, without a kick: empty packets, which are dropped. */
function offerLongChains({ tx }: RawGuest): void {
  const desc = view(tx.memory.desc);
  const start = RING_SIZE - TAIL;
  for (let i = 0; i < CHAINS; i++) writeDesc(desc, i, 0, 0, NEXT, start);
  for (let i = start; i < RING_SIZE; i++) {
    writeDesc(desc, i, 0, 0, i === RING_SIZE - 1 ? 0 : NEXT, i === RING_SIZE - 1 ? 0 : i + 1);
  }
  offer(tx, Array.from({ length: CHAINS }, (_, i) => i));
}

/** Makes chains available by their heads. */
function offer({ memory: { avail } }: GuestRing, heads: readonly number[]): void {
  const words = new Uint16Array(avail.buffer, avail.byteOffset, 2 + RING_SIZE);
  heads.forEach((head, i) => words[2 + words[1]! + i] = head);
  Atomics.store(words, 1, words[1]! + heads.length);
}

for (const semaphore of [false, true]) {
  const name = semaphore ? "a kick that is ready again and again" : "one kick";
  test(`VsockDevice gives the event loop a turn after some descriptors of a guest: ${name}`, {
    timeout: 60_000,
  }, async () => {
    using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
    const { socketPath } = device.guest;
    using guest = await RawGuest.start({ socketPath, ringSize: RING_SIZE, indirect: false }, 0);
    const kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0));
    const { used } = guest.tx.memory;
    const usedWords = new Uint16Array(used.buffer, used.byteOffset, 2);
    const { frontEnd } = guest.machine;
    await frontEnd.setEvent(REQUEST.SET_VRING_KICK, TX, kick);
    await frontEnd.settled();
    offerLongChains(guest);
    const turns = await turnsOf(async () => {
      write(kick, new Uint8Array(BigUint64Array.of(1_000n).buffer));
      while (usedWords[1]! < CHAINS) await new Promise<void>((resolve) => setImmediate(resolve));
    });
    close(kick);
    assert(turns >= 16, `${CHAINS} chains took ${turns} turns`);
  });
}

test("VsockDevice gives the event loop a turn where each call of a program has taken in enough", {
  timeout: 60_000,
}, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using listener = listen({ cid: 2, port: PORT }, { transport: device });
  const { socketPath } = device.guest;
  using guest = await RawGuest.start({ socketPath, ringSize: RING_SIZE, indirect: false }, 80);
  await guest.connect(PORT);
  using conn = await listener.accept();
  offerLongChains(guest);
  const turns = await turnsOf(async () => {
    for (let call = 0; call < 64; call++) await conn.write(Uint8Array.of(1));
  });
  assert(turns >= 16, `64 calls took ${turns} turns`);
});

test("VsockDevice ends the turn of a program whose send has filled enough buffers of a guest", {
  timeout: 60_000,
}, async () => {
  const [bufferSize, buffers] = [2 ** 22, 512];
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  const options = { transport: device, options: { bufferSize } };
  using listener = listen({ cid: 2, port: PORT }, options);
  const { socketPath } = device.guest;
  using guest = await RawGuest.start({ socketPath, ringSize: RING_SIZE, indirect: false }, buffers);
  await guest.connect(PORT, { bufAlloc: bufferSize });
  using conn = await listener.accept();
  const { socket } = conn;
  assertEquals([socket.send(new Uint8Array(1), 0), socket.turns.spent()], [1, false]);
  const sent = socket.send(new Uint8Array(bufferSize - 1), 0);
  assert(sent >= 2 ** 20, `${sent} bytes were sent`);
  assertEquals(socket.turns.spent(), true); // before whoever comes next sends as much
});

test("Socket.poll() looks at the guest of a connection, and of a listener at all", {
  timeout: 60_000,
}, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using listener = listen({ cid: 2, port: PORT }, { transport: device });
  const other = device.addGuest({ socketPath: freshPath(), guestCid: GUEST_CID + 1 });
  const sizes = { ringSize: RING_SIZE, indirect: false };
  using guest = await RawGuest.start({ socketPath: device.guest.socketPath, ...sizes });
  using silent = await RawGuest.start({ socketPath: other.socketPath, ...sizes });
  await guest.connect(PORT);
  using conn = await listener.accept();
  for (const one of [guest, silent]) offerLongChains(one);
  const before = [device.guest.counters.rxPackets, other.counters.rxPackets];
  const grown = (): boolean[] =>
    [device.guest, other].map(({ counters }, i) => counters.rxPackets > before[i]!);
  conn.socket.poll(POLLIN);
  assertEquals(grown(), [true, false]);
  listener.socket.poll(POLLIN);
  assertEquals(grown(), [true, true]);
});

test("VsockDevice goes on with a guest while the host's thread blocks", {
  timeout: 60_000,
}, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using listener = listen({ cid: 2, port: PORT }, { transport: device });
  const { socketPath } = device.guest;
  using guest = await RawGuest.start({ socketPath, ringSize: RING_SIZE, indirect: false }, 4);
  await guest.connect(PORT);
  using conn = await listener.accept();
  const other = device.addGuest({ socketPath: freshPath(), guestCid: GUEST_CID + 1 });
  using gone = await RawGuest.start(other, 0);
  const { address, bytes } = guest.scratch();
  guest.write({ op: VIRTIO_VSOCK_OP_RW, dstPort: PORT, len: 1 }, Uint8Array.of(7), bytes);
  offerLongChains(guest);
  writeDesc(view(guest.tx.memory.desc), CHAINS, address, HEADER_SIZE + 1, 0, 0);
  offer(guest.tx, [CHAINS]);
  guest.tx.kickNow();
  gone.close();
  assertEquals(conn.socket.waitSync(POLLIN, 2_000), POLLIN);
  assertEquals(other.up, false); // its VMM was heard too
});
