/** Credit, as far as sockets show it. */
import { assert, assertEquals } from "@std/assert";
import { POLLIN, POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_RW,
} from "../../../ffi/abi/virtio_vsock.ts";
import { SO_VM_SOCKETS_BUFFER_SIZE } from "../../../ffi/abi/vm_sockets.ts";
import { type Socket, WOULD_BLOCK } from "../../../src/socket.ts";
import type { Header } from "../../../src/virtio/packet.ts";
import type { Case, Near } from "../case.ts";
import {
  assertPoll,
  buffers,
  bytes,
  pair,
  pairBack,
  queued,
  refuses,
  setBuffer,
  setFarBuffer,
  setRcvlowat,
  settle,
  setU64,
} from "../helpers.ts";
import { receive, receiveAll, sendAll } from "../verbs.ts";

/** Sends until it would block: how many bytes were taken. */
function fill(socket: Socket): number {
  const data = bytes(100_000);
  for (let total = 0;;) {
    const taken = socket.send(data, 0);
    if (taken === WOULD_BLOCK) return total;
    total += taken;
  }
}

/**
 * Sends `count` bytes, waiting for memory where a transport is short of it: one more would block.
 */
async function fillUp(socket: Socket, count: number): Promise<void> {
  await sendAll(socket, bytes(count));
  assertEquals(socket.send(bytes(1), 0), WOULD_BLOCK);
}

/** Packets that `socket` has sent or been sent so far. */
function packetsOf(near: Near, socket: Socket): Header[] {
  const { port } = socket.localAddress();
  return near.packets.filter(({ srcPort, dstPort }) => srcPort === port || dstPort === port);
}

/** How many of them have the operation `op`. */
function count(near: Near, socket: Socket, op: number): number {
  return packetsOf(near, socket).filter((header) => header.op === op).length;
}

/** Cases about credit. */
export const creditCases: readonly Case[] = [
  {
    name: "a buffer too small for any packet ends the connection: recv() gives 0, SO_ERROR ENOBUFS",
    needs: [],
    async run(near, far) {
      const { here, there } = await pairBack(near, far, { here: (s) => setBuffer(s, 128) });
      assertEquals(await there.send(bytes(1)), 1);
      await here.wait(POLLRDHUP);
      assertEquals(receive(here, 1).result, 0);
      assertEquals([here.takeError(), here.takeError()], [105, 0]);
      here.shutdown(SHUT_WR);
      await settle(near, far); // the peer's answer finds nobody
      refuses("ENOTCONN", () => receive(here, 1));
    },
  },
  {
    name: "send() takes as much as the peer's buffer holds, then would block",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far, buffers(262144, 10_000));
      assertEquals(here.send(bytes(30_000), 0), 10_000);
      assertEquals(here.send(bytes(1), 0), WOULD_BLOCK);
    },
  },
  {
    name: "send() takes no more than this end's own buffer holds",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far, buffers(10_000, 262144));
      assertEquals(here.send(bytes(30_000), 0), 10_000);
      assertEquals(here.send(bytes(1), 0), WOULD_BLOCK);
    },
  },
  {
    name: "send() takes 262144 bytes with the default buffers",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      await fillUp(here, 262144);
    },
  },
  {
    name: "send() takes more once both buffers are larger",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far, buffers(1 << 20, 1 << 20));
      await fillUp(here, 1 << 20);
    },
  },
  {
    name: "send() can go on when the peer has read everything",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 8192));
      for (let round = 0; round < 5; round++) {
        assertEquals(fill(here), 8192);
        await there.receiveAll(8192);
        assertEquals(await here.wait(POLLOUT), POLLOUT);
      }
    },
  },
  {
    name: "recv() of a part of a packet gives no credit back, of the whole it does",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 4096));
      assertEquals(here.send(bytes(4096), 0), 4096);
      assertEquals((await there.receiveAll(4095)).length, 4095);
      await settle(near, far);
      assertPoll(here, 0);
      await there.receiveAll(1);
      assertEquals(await here.wait(POLLOUT), POLLOUT);
      assertEquals(fill(here), 4096);
    },
  },
  {
    name: "recv() of a little leaves the sender waiting while a full packet has room",
    needs: ["tap"],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await fillUp(here, 262144);
      await there.receiveAll(65536);
      await settle(near, far);
      assertEquals(count(near, here, VIRTIO_VSOCK_OP_CREDIT_UPDATE), 0);
      assertPoll(here, 0);
      await there.receiveAll(3 * 65536);
      await here.wait(POLLOUT);
      assert(count(near, here, VIRTIO_VSOCK_OP_CREDIT_UPDATE) > 0);
    },
  },
  {
    name: "recv() that leaves less than SO_RCVLOWAT lets the sender go on",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(131072, 262144));
      setRcvlowat(here, 65537);
      await there.send(bytes(131072));
      await queued(here, 131072);
      assertEquals(receive(here, 65536).result, 65536);
      const sending = there.sendAll(bytes(1));
      await here.wait(POLLIN);
      assertEquals((await receiveAll(here, 65537)).length, 65537);
      await sending;
    },
  },
  {
    name: "SO_RCVLOWAT above what is queued lets the sender go on",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 262144));
      await there.sendAll(bytes(262144));
      await queued(here, 262144);
      const sending = there.sendAll(bytes(65536));
      assertEquals(receive(here, 65536).result, 65536);
      setRcvlowat(here, 196609);
      await here.wait(POLLIN);
      await sending;
      assertEquals((await receiveAll(here, 262144)).length, 262144);
    },
  },
  {
    name: "BUFFER_SIZE raised on a connection lets the sender go on",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 4096));
      assertEquals(fill(here), 4096);
      await setFarBuffer(there, 8192);
      await here.wait(POLLOUT);
      assertEquals(fill(here), 4096);
      assertEquals((await there.receiveAll(8192)).length, 8192);
    },
  },
  {
    name: "BUFFER_SIZE lowered below what is on its way stops the sender, loses nothing",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 65536));
      await there.wait(POLLOUT);
      here.send(bytes(32768), 0);
      await there.wait(POLLIN);
      await setFarBuffer(there, 16384);
      await there.send(bytes(1));
      await here.wait(POLLIN);
      assertPoll(here, POLLIN);
      assertEquals(here.send(bytes(1), 0), WOULD_BLOCK);
      assertEquals(await there.receiveAll(32768), bytes(32768));
      await here.wait(POLLOUT);
      assertEquals(fill(here), 16384);
    },
  },
  {
    name: "BUFFER_SIZE of this end changes what it may send",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      setU64(here, SO_VM_SOCKETS_BUFFER_SIZE, 5000);
      assertEquals(fill(here), 5000);
      setBuffer(here, 6000);
      assertEquals(fill(here), 1000);
    },
  },
  {
    name: "send() splits what is larger than 65536 bytes",
    needs: ["tap"],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.send(bytes(200_000), 0);
      await there.receiveAll(200_000);
      const lengths = packetsOf(near, here).filter(({ op }) => op === VIRTIO_VSOCK_OP_RW)
        .map(({ len }) => len);
      assertEquals(lengths, [65536, 65536, 65536, 3392]);
    },
  },
  {
    name: "send() of nothing makes no packet",
    needs: ["tap"],
    async run(near, far) {
      const { here } = await pair(near, far);
      here.send(new Uint8Array(0), 0);
      await settle(near, far);
      assertEquals(count(near, here, VIRTIO_VSOCK_OP_RW), 0);
    },
  },
  {
    name: "every packet of a connection carries the buffer's size and what was drained",
    needs: ["tap"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(20_000, 10_000));
      here.send(bytes(3000), 0);
      await there.receiveAll(3000);
      await there.send(bytes(7));
      await receiveAll(here, 7);
      here.send(bytes(1), 0);
      await there.receiveAll(1);
      const [packets, { port }] = [packetsOf(near, here), here.localAddress()];
      const mine = packets.filter(({ srcPort }) => srcPort === port);
      const theirs = packets.filter(({ dstPort }) => dstPort === port);
      assert(mine.every(({ bufAlloc }) => bufAlloc === 20_000));
      assert(theirs.every(({ bufAlloc }) => bufAlloc === 10_000));
      assertEquals(mine.at(-1)!.fwdCnt, 7);
      assertEquals(theirs.find(({ op }) => op === VIRTIO_VSOCK_OP_RW)!.fwdCnt, 3000);
    },
  },
  {
    name: "no end ever asks for credit",
    needs: ["tap"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(4096, 4096));
      await Promise.all([sendAll(here, bytes(50_000)), there.receiveAll(50_000)]);
      assertEquals(count(near, here, VIRTIO_VSOCK_OP_CREDIT_REQUEST), 0);
    },
  },
];
