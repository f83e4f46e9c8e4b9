/** How much has gone by of each guest. */
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { VIRTIO_VSOCK_OP_RW } from "../../ffi/abi/virtio_vsock.ts";
import { listen } from "../../src/listen.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

const PORT = 1_024;
const SIBLING = GUEST_CID + 1;
/** Bytes of a packet that is worth lending to who maps it. */
const BIG = 20_000;

test("VsockGuest.counters has what each guest has sent and got, from the host and from another", {
  timeout: 60_000,
}, async () => {
  const guests = [GUEST_CID, SIBLING].map((guestCid) => {
    return { socketPath: freshPath(), guestCid, siblings: true };
  });
  using device = createVsockDevice(guests[0]!);
  const sibling = device.addGuest(guests[1]!);
  using listener = listen({ cid: 2, port: PORT }, { transport: device });
  using from = await RawGuest.start(device.guest);
  using to = await RawGuest.start(sibling);
  await from.connect(PORT);
  using conn = await listener.accept();
  await conn.write(new Uint8Array(5));
  assertEquals((await from.next()).len, 5);
  from.send({ op: VIRTIO_VSOCK_OP_RW, dstPort: PORT }, new Uint8Array(BIG));
  assertEquals(await conn.read(new Uint8Array(2 * BIG)), BIG);
  from.send({ op: VIRTIO_VSOCK_OP_RW, dstCid: SIBLING, dstPort: 9 }, new Uint8Array(3));
  assertEquals((await to.next()).len, 3);
  const { kicks, calls, ...counted } = device.guest.counters;
  assertEquals(counted, {
    rxPackets: 3,
    rxBytes: BIG + 3,
    rxBorrowedBytes: 0, // nobody maps it
    txPackets: 2,
    txBytes: 5,
  });
  assert(kicks > 0 && calls > 0, `${kicks} kicks, ${calls} calls`);
  assertEquals([sibling.counters.txPackets, sibling.counters.txBytes], [1, 3]);
});
