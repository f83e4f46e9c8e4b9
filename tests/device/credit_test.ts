/** Guests whose sockets have smaller buffers than the device's: they send no more than these. */
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";

const FLOW = 3_000_001;

for (const mode of ["map", "copy"] as const) {
  test(
    `VsockDevice takes more than the guest's buffer by ${mode}`,
    { timeout: 30_000 },
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
