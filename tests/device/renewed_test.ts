/** What is renewed of a ring that is used, or was: nothing that either side tells is lost. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../ffi/abi/eventfd.ts";
import { VIRTIO_VSOCK_OP_REQUEST, VIRTIO_VSOCK_OP_RST } from "../../ffi/abi/virtio_vsock.ts";
import { WOULD_BLOCK } from "../../ffi/errno.ts";
import { close, eventfd, read } from "../../ffi/file_calls.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { TX } from "../../src/vhost_user/guest.ts";
import { REQUEST } from "../../src/vhost_user/protocol.ts";
import { HEADER_SIZE } from "../../src/virtio/packet.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

const TIMEOUT = { timeout: 60_000 };
const ANYBODY = { op: VIRTIO_VSOCK_OP_REQUEST, dstPort: 9 };

/** Sends a packet that the device answers by RST, and hears that. */
async function ask(guest: RawGuest): Promise<void> {
  guest.send(ANYBODY);
  assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RST);
}

test(
  "VsockDevice looks at a ring that gets another kick: the one before may not be heard",
  TIMEOUT,
  async () => {
    using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
    using guest = await RawGuest.start(device.guest);
    await ask(guest);
    const { address, bytes } = guest.scratch();
    guest.write(ANYBODY, new Uint8Array(0), bytes);
    guest.tx.driver.stage([{ address, length: HEADER_SIZE, writable: false }]);
    guest.tx.driver.publish(); // and the kick is lost
    const kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    await guest.machine.frontEnd.setEvent(REQUEST.SET_VRING_KICK, TX, kick);
    close(kick);
    assertEquals((await guest.next()).op, VIRTIO_VSOCK_OP_RST);
  },
);

test("VsockDevice calls by an eventfd that it gets for a ring that runs", TIMEOUT, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  using guest = await RawGuest.start(device.guest);
  const { frontEnd } = guest.machine;
  const told: number[] = [];
  for (const request of [REQUEST.SET_VRING_CALL, REQUEST.SET_VRING_ERR]) {
    const fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    await frontEnd.setEvent(request, TX, fd);
    await frontEnd.settled();
    told.push(read(fd, new Uint8Array(8)));
    close(fd);
  }
  assertEquals(told, [8, WOULD_BLOCK]);
  await ask(guest);
});

test(
  "VsockDevice asks for the next kick after a pause, whatever was asked for before",
  TIMEOUT,
  async () => {
    using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
    using guest = await RawGuest.start(device.guest);
    await ask(guest);
    const bases = await guest.machine.pause();
    const { used, size } = guest.tx.memory;
    const availEvent = new Uint16Array(used.buffer, used.byteOffset + 4 + 8 * size, 1);
    availEvent[0] = bases[TX]! + 7; // as in the midst of much
    await guest.machine.resume(bases);
    await guest.machine.frontEnd.settled();
    await device.guest.ready();
    await ask(guest);
  },
);
