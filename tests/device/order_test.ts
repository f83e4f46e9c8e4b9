/** A message reaches a guest in order and whole, however few buffers are free. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { VIRTIO_VSOCK_OP_RW } from "../../ffi/abi/virtio_vsock.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

const PORT = 1_024;

test(
  "VsockDevice sends a message in order where the last packet fits, and the one before does not",
  {
    timeout: 60_000,
  },
  async () => {
    using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID });
    using listener = listen({ cid: 2, port: PORT }, { transport: device, type: "seqpacket" });
    using guest = await RawGuest.start(device.guest, 30);
    await guest.connect(PORT, { type: 2 });
    using conn = await listener.accept();
    const message = Uint8Array.from({ length: 2 * 65_536 + 8_192 }, (_, i) => i >> 12);
    assertEquals(conn.socket.send(message, 0), message.length);
    const got: number[] = [];
    for (let end = false; !end;) {
      const { op, flags, data } = await guest.next();
      assertEquals(op, VIRTIO_VSOCK_OP_RW);
      got.push(...data);
      end = flags !== 0;
    }
    assertEquals(Uint8Array.from(got), message);
  },
);
