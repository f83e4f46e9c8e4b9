/** A VMM may clear O_NONBLOCK of the eventfds that it shares with the device: nothing blocks. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { F_SETFL, O_NONBLOCK } from "../../ffi/abi/fcntl.ts";
import { VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RST } from "../../ffi/abi/virtio_vsock.ts";
import { close, eventfd, fcntl, read, write } from "../../ffi/file_calls.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { RX, TX } from "../../src/vhost_user/guest.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import { until } from "../helpers/until.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

const COUNTER_MAX = 0xffff_ffff_ffff_fffen;
const TIMEOUT = { timeout: 60_000 };

/** An eventfd that blocks. */
function blockingEventFd(count: bigint): number {
  const fd = eventfd(0, 0);
  if (count > 0n) write(fd, new Uint8Array(BigUint64Array.of(count).buffer));
  return fd;
}

test("VsockDevice calls a guest whose eventfd is full and blocks", TIMEOUT, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using guest = await RawGuest.start(device.guest);
  const call = blockingEventFd(COUNTER_MAX);
  const { frontEnd } = guest.machine;
  for (const ring of [RX, TX]) await frontEnd.setEvent(REQUEST.SET_VRING_CALL, ring, call);
  await frontEnd.settled();
  fcntl(call, F_SETFL, 0);
  guest.send({ op: VIRTIO_VSOCK_OP_REQUEST, dstPort: 9 });
  await until(() => guest.rx.driver.hasUsed());
  assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RST);
  fcntl(call, F_SETFL, O_NONBLOCK);
  assertEquals(read(call, new Uint8Array(8)), 8);
  close(call);
});

test("VsockDevice takes a kick of two rings whose eventfd blocks", TIMEOUT, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using guest = await RawGuest.start(device.guest);
  const kick = blockingEventFd(0n);
  const { frontEnd } = guest.machine;
  for (const ring of [RX, TX]) await frontEnd.setEvent(REQUEST.SET_VRING_KICK, ring, kick);
  await frontEnd.settled();
  fcntl(kick, F_SETFL, 0);
  for (let i = 0; i < 10; i++) {
    guest.send({ op: VIRTIO_VSOCK_OP_REQUEST, dstPort: 9 });
    write(kick, new Uint8Array(BigUint64Array.of(1n).buffer));
    assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RST);
  }
  close(kick);
});
