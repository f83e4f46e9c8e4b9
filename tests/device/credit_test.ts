/**
 * What guests may send: smaller buffers than the device's, and what is closed without being read.
 */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import * as op from "../../ffi/abi/virtio_vsock.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";
import { RawGuest } from "./raw_guest.ts";

const FLOW = 3_000_001;

for (const mode of ["map", "copy"] as const) {
  test(
    `VsockDevice takes more than the guest's buffer by ${mode}`,
    { timeout: 60_000 },
    async () => {
      const socketPath = freshPath();
      using device = createVsockDevice({ socketPath, guestCid: GUEST_CID });
      using machine = await Machine.start({ socketPath });
      const options = { zeroCopyReceive: true, bufferSize: 1 << 20 };
      using listener = listen({ cid: 2, port: 7 }, { transport: device, options });
      using guest = await connect({ cid: 2, port: 7 }, { transport: machine.transport });
      using conn = await listener.accept();
      const writing = guest.write(new Uint8Array(FLOW)).then(() => guest.closeWrite());
      let bytes = 0;
      using receiver = conn.receiver({ mode });
      for await (const batch of receiver) bytes += batch.byteLength;
      await writing;
      assertEquals(bytes, FLOW);
      assertEquals(machine.guest.faults, []);
    },
  );
}

test("VsockDevice gives back at close() what nobody has read, and no credit for it", {
  timeout: 60_000,
}, async () => {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
  const options = { zeroCopyReceive: true };
  using listener = listen({ cid: 2, port: 7 }, { transport: device, options });
  using guest = await RawGuest.start(device.guest);
  await guest.connect(7);
  const conn = await listener.accept();
  guest.send({ op: op.VIRTIO_VSOCK_OP_RW, dstPort: 7 }, new Uint8Array(65_536));
  guest.send({ op: op.VIRTIO_VSOCK_OP_CREDIT_REQUEST, dstPort: 7 });
  assertEquals((await guest.next()).op, op.VIRTIO_VSOCK_OP_CREDIT_UPDATE);
  while (guest.tx.driver.getUsed() !== undefined);
  assertEquals(guest.tx.driver.outstanding, 1); // it is lent
  conn.close();
  await guest.taken();
  guest.send({ op: op.VIRTIO_VSOCK_OP_CREDIT_REQUEST, dstPort: 7 });
  for (const expected of [op.VIRTIO_VSOCK_OP_SHUTDOWN, op.VIRTIO_VSOCK_OP_CREDIT_UPDATE]) {
    const { op: got, fwdCnt } = await guest.next();
    assertEquals([got, fwdCnt], [expected, 0]);
  }
});
