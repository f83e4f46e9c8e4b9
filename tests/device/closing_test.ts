/** A guest that agrees to no close keeps no more than some sockets of the host. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_SHUTDOWN,
} from "../../ffi/abi/virtio_vsock.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

/** How many connections may wait for a guest to agree to their close. */
const CLOSING_MAX = 1_024;
/** Connections that a guest begins at once. */
const AT_ONCE = 16;

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

test("Conn.close() of one more than 1024 resets the oldest that the guest has not agreed to", {
  timeout: 60_000,
}, async () => {
  using device = createVsockDevice({
    socketPath: freshPath(),
    guestCid: GUEST_CID,
    onConnect: (_port, _type, _guest, accept) => accept().close(),
  });
  using guest = await RawGuest.start(device.guest);
  const connect = (srcPort: number): void =>
    guest.send({ op: VIRTIO_VSOCK_OP_REQUEST, srcPort, dstPort: 1_024 });
  for (let first = 0; first < CLOSING_MAX; first += AT_ONCE) {
    const ports = Array.from({ length: AT_ONCE }, (_, i) => first + i);
    ports.forEach(connect);
    assertEquals(await nextOf(guest, 2 * AT_ONCE), ports.flatMap(greeting));
  }
  guest.send({ op: VIRTIO_VSOCK_OP_RST, srcPort: 1, dstPort: 1_024 }); // it agrees to one
  for (const [port, oldest] of [[2_000], [2_001, 0], [2_002, 2]] as const) {
    connect(port);
    const reset = oldest === undefined ? [] : [[VIRTIO_VSOCK_OP_RST, oldest]];
    const expected = [...greeting(port), ...reset];
    assertEquals(await nextOf(guest, expected.length), expected);
  }
});
