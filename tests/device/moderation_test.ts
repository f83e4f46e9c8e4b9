/** How often a guest kicks for a large flow, whose receiver need not be woken for each packet. */
import { after, before, test } from "node:test";
import { assertEquals, assertLess } from "@std/assert";
import { POLLIN } from "../../ffi/abi/poll.ts";
import { VIRTIO_VSOCK_OP_RW } from "../../ffi/abi/virtio_vsock.ts";
import type { Conn } from "../../src/conn.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice, type VsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

const PORT = 1_024;
const FULL = 65_536;
const PACKETS = 64;
const ROUNDS = 16;
let device: VsockDevice;

before(() => {
  device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
});

after(() => device.close());

/** Takes a packet that is there, without the event loop. */
const RECEIVERS: Readonly<Record<string, (conn: Conn) => () => number>> = {
  "copy": ({ socket }) => {
    const buffer = new Uint8Array(FULL);
    return () => socket.recv(buffer, 0);
  },
  "map": (conn) => {
    const receiver = conn.receiver({ mode: "map" });
    return () => {
      using batch = receiver.tryReceive();
      return batch?.byteLength ?? 0;
    };
  },
};

for (const [name, receiverOf] of Object.entries(RECEIVERS)) {
  test(`A guest that sends much kicks for some of it only: ${name}`, {
    timeout: 60_000,
  }, async () => {
    using guest = await RawGuest.start(device.guest);
    const sizes = { bufferMaxSize: 0x40_0000, bufferSize: 0x40_0000 };
    const options = { ...sizes, zeroCopyReceive: name === "map" };
    using listener = listen({ cid: 2, port: PORT }, { transport: device, options });
    await guest.connect(PORT);
    using conn = await listener.accept({ timeoutMs: 10_000 });
    const receive = receiverOf(conn);
    const data = new Uint8Array(FULL);
    const before = guest.tx.kicks;
    for (let sent = 0; sent < PACKETS; sent++) {
      guest.send({ op: VIRTIO_VSOCK_OP_RW, dstPort: PORT }, data);
      assertEquals(conn.socket.poll(POLLIN), POLLIN);
      assertEquals(receive(), FULL);
      conn.socket.poll(POLLIN); // shows the guest what was given back
    }
    // Where this thread does not run for a millisecond, the next one kicks.
    assertLess(guest.tx.kicks - before, PACKETS / 2);
  });
}

test("A guest that sends much is heard when it ends, though it does not kick for the rest", {
  timeout: 60_000,
}, async () => {
  using guest = await RawGuest.start(device.guest);
  const options = { bufferMaxSize: 0x40_0000, bufferSize: 0x40_0000 };
  using listener = listen({ cid: 2, port: PORT }, { transport: device, options });
  await guest.connect(PORT);
  using conn = await listener.accept({ timeoutMs: 10_000 });
  const data = new Uint8Array(FULL);
  for (let round = 0; round < ROUNDS; round++) {
    guest.send({ op: VIRTIO_VSOCK_OP_RW, dstPort: PORT }, data);
    await guest.taken(); // by then its kick has been heard
    assertEquals(conn.socket.recv(data, 0), FULL);
    const reading = conn.read(new Uint8Array(2), { timeoutMs: 10_000 });
    guest.send({ op: VIRTIO_VSOCK_OP_RW, dstPort: PORT }, Uint8Array.of(round));
    assertEquals(await reading, 1);
  }
});
