/** Many that send to one guest, which has buffers for a few at a time. */
import { test } from "node:test";
import { assert, assertEquals, assertLess } from "@std/assert";
import { POLLOUT } from "../../ffi/abi/poll.ts";
import { VIRTIO_VSOCK_OP_RW } from "../../ffi/abi/virtio_vsock.ts";
import { WOULD_BLOCK } from "../../ffi/errno.ts";
import type { Conn } from "../../src/conn.ts";
import { listen } from "../../src/listen.ts";
import type { Tap } from "../../src/stack/node.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { Uncaught } from "../helpers/uncaught.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { RawGuest } from "./raw_guest.ts";

const PORT = 1_024;
const [CONNECTIONS, BUFFERS, ROUNDS] = [128, 4, 4];
const PAYLOAD = 4_096;

/** A guest with a few buffers, and connections with it. */
async function withConns(
  check: (guest: RawGuest, conns: readonly Conn[]) => Promise<void>,
  tap?: Tap,
): Promise<void> {
  using device = createVsockDevice({ socketPath: freshPath(), guestCid: GUEST_CID, tap });
  using listener = listen({ cid: 2, port: PORT }, { transport: device, backlog: CONNECTIONS });
  using guest = await RawGuest.start({ socketPath: device.guest.socketPath }, BUFFERS);
  const conns: Conn[] = [];
  for (let srcPort = 1; srcPort <= CONNECTIONS; srcPort++) {
    await guest.connect(PORT, { srcPort });
    conns.push(await listener.accept());
  }
  await check(guest, conns);
  for (const conn of conns) conn.close();
}

test("VsockDevice wakes those who wait for buffers of a guest in turn, as many as there are for", {
  timeout: 60_000,
}, async () => {
  await withConns(async (guest, conns) => {
    const payload = new Uint8Array(PAYLOAD);
    let wakes = 0;
    const send = async ({ socket }: Conn): Promise<void> => {
      for (let round = 0; round < ROUNDS; round++) {
        while (socket.send(payload, 0) === WOULD_BLOCK) {
          await socket.wait(POLLOUT);
          wakes++;
        }
      }
    };
    const sending = Promise.all(conns.map(send));
    const got = new Map<number, number>();
    for (let sent = 0; sent < CONNECTIONS * ROUNDS;) {
      const { op, dstPort, len } = await guest.next();
      if (op !== VIRTIO_VSOCK_OP_RW) continue;
      assertEquals(len, PAYLOAD);
      got.set(dstPort, (got.get(dstPort) ?? 0) + 1);
      sent++;
    }
    await sending;
    assertEquals([...got.values()], Array(CONNECTIONS).fill(ROUNDS));
    assertLess(wakes, 2 * CONNECTIONS * ROUNDS);
  });
});

test("VsockDevice wakes the next who wait for buffers where those before them send nothing", {
  timeout: 60_000,
}, async () => {
  await withConns(async (guest, conns) => {
    const payload = new Uint8Array(PAYLOAD);
    const waits: Promise<number>[] = [];
    for (const { socket } of conns) {
      while (socket.send(payload, 0) !== WOULD_BLOCK);
      waits.push(socket.wait(POLLOUT));
    }
    await guest.next(); // a buffer that nobody takes then
    assert((await Promise.all(waits)).every((events) => events === POLLOUT));
  });
});

test("VsockDevice sends a packet whose tap throws, which is uncaught", {
  timeout: 60_000,
}, async () => {
  using uncaught = new Uncaught();
  let throws = false;
  await withConns(async (guest, [conn]) => {
    throws = true;
    for (let times = 0; times < 2 * BUFFERS; times++) {
      assertEquals(conn!.socket.send(new Uint8Array(PAYLOAD), 0), PAYLOAD);
      while ((await guest.next()).op !== VIRTIO_VSOCK_OP_RW);
    }
    throws = false;
    assertEquals(conn!.unsentBytes, 0);
    assertEquals(uncaught.messages, Array(2 * BUFFERS).fill("tap"));
  }, () => {
    if (throws) throw new Error("tap");
  });
});
