/** Guests that send to each other, and what that is to the host's connections with them. */
import { test } from "node:test";
import { assert, assertEquals, assertLess } from "@std/assert";
import { POLLOUT } from "../../ffi/abi/poll.ts";
import {
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
} from "../../ffi/abi/virtio_vsock.ts";
import { WOULD_BLOCK } from "../../ffi/errno.ts";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import { SocketOptions } from "../../src/options.ts";
import { createVsockDevice } from "../../src/vhost_user/device.ts";
import { freshPath, GUEST_CID } from "./lab.ts";
import { Machine } from "./machine.ts";
import { RawGuest } from "./raw_guest.ts";

const SOON = { timeoutMs: 30_000 };
const PORT = 1_024;
const FULL = 65_536;
/** Between two guests: what all of them have on their way is less than is held. */
const CONNECTIONS = 200;
/** Bytes of memory that packets of one guest may take while another has no buffers for them. */
const FORWARDED_MAX = 64 << 20;

/** Two guests, the second of which has some buffers and a connection with the host. */
async function withSiblings(
  check: (from: RawGuest, to: RawGuest, conn: Conn) => Promise<void>,
  buffers = 64,
): Promise<void> {
  const device = { socketPath: freshPath(), guestCid: GUEST_CID, siblings: true };
  using first = createVsockDevice(device);
  const second = { socketPath: freshPath(), guestCid: GUEST_CID + 1, siblings: true };
  first.addGuest(second);
  using listener = listen({ cid: 2, port: PORT }, { transport: first });
  using from = await RawGuest.start({ socketPath: device.socketPath });
  using to = await RawGuest.start({ socketPath: second.socketPath }, buffers);
  await to.connect(PORT);
  using conn = await listener.accept(SOON);
  await check(from, to, conn);
}

/** Sends `count` packets to the other guest, where nobody has asked for them. */
async function flood(from: RawGuest, count: number, size: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    from.send({ op: VIRTIO_VSOCK_OP_RW, dstCid: GUEST_CID + 1, dstPort: 9 }, new Uint8Array(size));
    if (i % 16 === 15) await from.taken();
  }
  await from.taken();
}

test("VsockDevice takes what a guest sends whose buffers another one has filled", {
  timeout: 60_000,
}, async () => {
  await withSiblings(async (from, to, conn) => {
    await flood(from, 400, 1);
    to.send({ op: VIRTIO_VSOCK_OP_RW, dstPort: PORT }, Uint8Array.of(1, 2, 3));
    assertEquals(await conn.read(new Uint8Array(10), SOON), 3);
  });
});

for (const [size, buffers] of [[100, 1], [100, 64], [40_000, 2], [40_000, 64]] as const) {
  const what = `${size} bytes into ${buffers}`;
  test(`VsockDevice sends to a guest in turn what another one has sent: ${what}`, {
    timeout: 60_000,
  }, async () => {
    await withSiblings(async (from, to, conn) => {
      await flood(from, 60, FULL);
      const writing = conn.write(new Uint8Array(size));
      let [others, own] = [0, 0];
      while (own < size) {
        const { srcCid, len } = await to.next();
        if (srcCid === 2) own += len;
        else others++;
      }
      await writing;
      // What filled the ring, and one packet beside each of the host.
      assertLess(others, buffers + 17 * (1 + Math.ceil(size / 4_096)));
      while ((await to.next()).srcCid === 2);
    }, buffers);
  });
}

test("VsockDevice has other guests send, though many of the host would fill all buffers", {
  timeout: 60_000,
}, async () => {
  await withSiblings(async (from, to, conn) => {
    const { socket } = conn;
    const options = new SocketOptions(socket);
    const bufAlloc = options.bufferSize = options.bufferMaxSize = 16 * FULL;
    const credit = { op: VIRTIO_VSOCK_OP_CREDIT_UPDATE, dstPort: PORT, bufAlloc };
    to.send(credit);
    await to.taken();
    let goesOn = true;
    const fill = async (): Promise<void> => {
      while (goesOn) {
        if (socket.send(new Uint8Array(FULL), 0) === WOULD_BLOCK) await socket.wait(POLLOUT);
      }
    };
    const filling = fill();
    await flood(from, 4, FULL);
    let fwdCnt = 0;
    for (let [others, packets] = [0, 0]; others < 4 * FULL;) {
      assertLess(++packets, 10_000);
      const { srcCid, len } = await to.next();
      socket.poll(POLLOUT); // a program that looks: its writer has the first of each buffer
      if (srcCid !== 2) others += len;
      else fwdCnt += len;
      to.send({ ...credit, fwdCnt });
    }
    goesOn = false;
    conn.close();
    await filling.catch(() => {}); // closed
  });
});

/** Has `from` connect from port `srcPort`, up to the answer. */
async function connected(from: RawGuest, to: RawGuest, srcPort: number): Promise<void> {
  const [srcCid, dstCid] = [from.machine.cid, to.machine.cid];
  from.send({ op: VIRTIO_VSOCK_OP_REQUEST, srcPort, dstCid, dstPort: 9 });
  assertEquals((await to.next()).op, VIRTIO_VSOCK_OP_REQUEST);
  to.send({ op: VIRTIO_VSOCK_OP_RESPONSE, srcPort: 9, dstCid: srcCid, dstPort: srcPort });
  assertEquals((await from.next()).op, VIRTIO_VSOCK_OP_RESPONSE);
}

test("VsockDevice resets connections of a guest with another one that stops", {
  timeout: 60_000,
}, async () => {
  await withSiblings(async (from, to) => {
    for (const srcPort of [1, 2, 3]) await connected(from, to, srcPort);
    from.send({ op: VIRTIO_VSOCK_OP_RST, srcPort: 2, dstCid: to.machine.cid, dstPort: 9 });
    assertEquals((await to.next()).op, VIRTIO_VSOCK_OP_RST);
    to.send({ op: VIRTIO_VSOCK_OP_RST, srcPort: 9, dstCid: from.machine.cid, dstPort: 3 });
    assertEquals((await from.next()).op, VIRTIO_VSOCK_OP_RST);
    await connected(to, from, 4);
    to.close();
    for (const [srcPort, dstPort] of [[9, 1], [4, 9]] as const) {
      const got = await from.next();
      assertEquals([got.op, got.srcCid], [VIRTIO_VSOCK_OP_RST, to.machine.cid]);
      assertEquals([got.srcPort, got.dstPort], [srcPort, dstPort]);
    }
    from.send({ op: VIRTIO_VSOCK_OP_REQUEST, dstCid: 2, dstPort: 9 });
    assertEquals((await from.next()).srcCid, 2); // that was all
  });
});

test("VsockDevice resets a connection between guests at both ends where one of them pauses", {
  timeout: 60_000,
}, async () => {
  await withSiblings(async (from, to) => {
    await connected(from, to, 1);
    await from.machine.resume(await from.machine.pause());
    for (
      const [guest, srcCid, dstPort] of [[to, GUEST_CID, 9], [from, GUEST_CID + 1, 1]] as const
    ) {
      const got = await guest.next();
      assertEquals([got.op, got.srcCid, got.dstPort], [VIRTIO_VSOCK_OP_RST, srcCid, dstPort]);
    }
  });
});

test("VsockDevice resets what it does not take for another guest", {
  timeout: 60_000,
}, async () => {
  await withSiblings(async (from, to) => {
    let count = 0;
    const request = { op: VIRTIO_VSOCK_OP_RW, dstCid: GUEST_CID + 1, dstPort: 9 };
    const data = new Uint8Array(FULL);
    while (!from.rx.driver.hasUsed()) {
      from.send(request, data);
      await from.taken();
      assert(++count < 2 * FORWARDED_MAX / FULL, "all is taken");
    }
    assertLess(Math.abs(count - FORWARDED_MAX / FULL - 4), 2); // four are in its buffers
    const { op, srcCid } = await from.next();
    assertEquals([op, srcCid], [VIRTIO_VSOCK_OP_RST, GUEST_CID + 1]);
    let last = await to.next();
    for (let bytes = 0; last.op === VIRTIO_VSOCK_OP_RW; last = await to.next()) {
      bytes += last.len;
      assertLess(bytes, (count + 1) * FULL);
    }
    assertEquals([last.op, last.srcCid], [VIRTIO_VSOCK_OP_RST, GUEST_CID]);
  });
});

test("VsockDevice loses nothing of many connections between guests, all of which send at once", {
  timeout: 60_000,
}, async () => {
  const ends = [GUEST_CID, GUEST_CID + 1].map((guestCid) => ({
    socketPath: freshPath(),
    guestCid,
  }));
  const [near, far] = [ends[0]!, ends[1]!];
  using device = createVsockDevice({ ...near, siblings: true });
  device.addGuest({ ...far, siblings: true });
  using from = await Machine.start({ ...near, siblings: [far.guestCid] });
  using to = await Machine.start({ ...far, siblings: [near.guestCid] });
  const address = { cid: far.guestCid, port: PORT };
  using listener = listen(address, { transport: to.transport, backlog: CONNECTIONS });
  const pass = async (sender: Conn, receiver: Conn): Promise<number> => {
    const writing = sender.write(new Uint8Array(4 * FULL)).then(() => sender.close());
    let bytes = 0;
    const buffer = new Uint8Array(FULL);
    for (let got; (got = await receiver.read(buffer)) !== null;) bytes += got;
    receiver.close();
    await writing;
    return bytes;
  };
  const pairs: [Conn, Conn][] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const options = { connectTimeoutMs: 60_000 };
    const sender = await connect(address, { transport: from.transport, options });
    pairs.push([sender, await listener.accept()]);
  }
  const all = await Promise.all(pairs.map((pair) => pass(...pair)));
  assertEquals(all, new Array(CONNECTIONS).fill(4 * FULL));
});
