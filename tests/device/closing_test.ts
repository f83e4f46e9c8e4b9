/** A guest that agrees to no close keeps no more than some sockets of the host. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { POLLIN, POLLRDHUP } from "../../ffi/abi/poll.ts";
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SEQ_EOM,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
  VIRTIO_VSOCK_TYPE_SEQPACKET,
} from "../../ffi/abi/virtio_vsock.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

/** How many connections may wait for a guest to agree to their close. */
const CLOSING_MAX = 1_024;
/** Connections that a guest begins at once. */
const AT_ONCE = 16;
const PORT = 1_024;

/** What the host sends to `port` of a guest, whose connection it accepts and closes. */
function greeting(port: number): number[][] {
  return [[VIRTIO_VSOCK_OP_RESPONSE, port], [VIRTIO_VSOCK_OP_SHUTDOWN, port]];
}

/** What the host sends to which port: the next `count` packets. */
async function nextOf(guest: RawGuest, count: number): Promise<number[][]> {
  const got: number[][] = [];
  while (got.length < count) {
    const { op, dstPort } = await guest.next();
    got.push([op, dstPort]);
  }
  return got;
}

/** Has `guest` connect from `port` to where the host closes what it accepts. */
function begin(guest: RawGuest, port: number): void {
  guest.send({ op: VIRTIO_VSOCK_OP_REQUEST, srcPort: port, dstPort: PORT });
}

/** As many connections as may wait, from port `start` on; the host says no more than that. */
async function fill(guest: RawGuest, start: number): Promise<void> {
  for (let first = start; first < start + CLOSING_MAX; first += AT_ONCE) {
    const ports = Array.from({ length: AT_ONCE }, (_, i) => first + i);
    for (const port of ports) begin(guest, port);
    assertEquals(await nextOf(guest, 2 * AT_ONCE), ports.flatMap(greeting));
  }
}

/** One more of them, after which `oldest` is reset. */
async function resets(guest: RawGuest, port: number, ...oldest: readonly number[]): Promise<void> {
  begin(guest, port);
  const expected = [...greeting(port), ...oldest.map((one) => [VIRTIO_VSOCK_OP_RST, one])];
  assertEquals(await nextOf(guest, expected.length), expected);
}

function makeDevice(): VsockDevice {
  return createVsockDevice({
    socketPath: freshPath(),
    guestCid: GUEST_CID,
    onConnect: (_port, _type, _guest, accept) => accept().close(),
  });
}

test("Conn.close() of one more than 1024 resets the oldest that the guest has not agreed to", {
  timeout: 60_000,
}, async () => {
  using device = makeDevice();
  using guest = await RawGuest.start(device.guest);
  await fill(guest, 0);
  guest.send({ op: VIRTIO_VSOCK_OP_RST, srcPort: 1, dstPort: PORT }); // it agrees to one
  await resets(guest, 2_000);
  await resets(guest, 2_001, 0);
  await resets(guest, 2_002, 2);
});

test("Conn.close() of what a guest had ended before it stopped says nothing to its next driver", {
  timeout: 60_000,
}, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using guest = await RawGuest.start(device.guest);
  using listener = listen({ cid: 2, port: PORT }, { transport: device, type: "seqpacket" });
  const ends = { dstPort: PORT, type: VIRTIO_VSOCK_TYPE_SEQPACKET };
  await guest.connect(PORT, ends);
  const message = { op: VIRTIO_VSOCK_OP_RW, flags: VIRTIO_VSOCK_SEQ_EOM, ...ends };
  guest.send(message, Uint8Array.of(1));
  const flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
  guest.send({ op: VIRTIO_VSOCK_OP_SHUTDOWN, flags, ...ends });
  using before = await listener.accept();
  await before.socket.wait(POLLRDHUP);
  await guest.machine.resume(await guest.machine.pause());
  await guest.connect(PORT, ends); // by the same ports
  using after = await listener.accept();
  assertEquals((await before.receiveMessage())?.data.length, 1);
  before.close();
  await after.sendMessage(Uint8Array.of(2));
  assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RW);
});

test("Conn.close() of what a guest has agreed to is over when its driver stops", {
  timeout: 60_000,
}, async () => {
  using device = makeDevice();
  using guest = await RawGuest.start(device.guest);
  using listener = listen({ cid: 2, port: 5_000 }, { transport: device });
  await guest.connect(5_000, { srcPort: 1 });
  guest.send({ op: VIRTIO_VSOCK_OP_RW, srcPort: 1, dstPort: 5_000 }, Uint8Array.of(1));
  const { socket } = await listener.accept();
  await socket.wait(POLLIN);
  socket.close(); // with a byte that nobody has read
  const flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
  guest.send({ op: VIRTIO_VSOCK_OP_SHUTDOWN, srcPort: 1, dstPort: 5_000, flags });
  assertEquals(await nextOf(guest, 1), [[VIRTIO_VSOCK_OP_SHUTDOWN, 1]]);
  await guest.taken();
  await guest.machine.resume(await guest.machine.pause());
  await fill(guest, 1_000);
  await resets(guest, 3_000, 1_000);
});
