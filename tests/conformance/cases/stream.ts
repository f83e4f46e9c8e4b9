/** send(2) and recv(2) on streams. */
import { assert, assertEquals } from "@std/assert";
import { POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { MSG_PEEK, SHUT_WR } from "../../../ffi/abi/socket.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import type { Case } from "../case.ts";
import {
  assertPoll,
  buffers,
  bytes,
  nearListener,
  pair,
  pairBack,
  queued,
  refuses,
  setRcvlowat,
} from "../helpers.ts";
import { receive, receiveAll, receiveNext, receiveToEnd, sendAll } from "../verbs.ts";

/** Cases about bytes. */
export const streamCases: readonly Case[] = [
  {
    name: "send() gives how many bytes it took, recv() gives them in order",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      assertEquals(here.send(bytes(3, 1), 0), 3);
      assertEquals(here.send(bytes(200, 2), 0), 200);
      assertEquals(await there.receiveAll(203), Uint8Array.of(...bytes(3, 1), ...bytes(200, 2)));
    },
  },
  {
    name: "send() of nothing gives 0, and nothing arrives",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      assertEquals(here.send(new Uint8Array(0), 0), 0);
      here.send(bytes(1), 0);
      assertEquals((await there.receiveNext(10)).data, bytes(1));
    },
  },
  {
    name: "send() has taken its bytes: changing the array afterwards changes nothing",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const data = bytes(5000);
      here.send(data, 0);
      data.fill(0);
      assertEquals(await there.receiveAll(5000), bytes(5000));
    },
  },
  {
    name: "recv() of an empty queue would block",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      assertEquals(here.recv(new Uint8Array(1), 0), WOULD_BLOCK);
      assertEquals(here.recv(new Uint8Array(1), MSG_PEEK), WOULD_BLOCK);
    },
  },
  {
    name: "recv() into an empty array gives 0 and takes nothing",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      assertEquals(here.recv(new Uint8Array(0), 0), 0);
      await there.sendAll(bytes(7));
      await here.wait(POLLIN);
      assertEquals(here.recv(new Uint8Array(0), 0), 0);
      assertEquals(receive(here, 10).data, bytes(7));
    },
  },
  {
    name: "recv() gives what there is, less than asked for, and leaves the array's rest alone",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(6));
      await here.wait(POLLIN);
      const array = new Uint8Array(10).fill(0xee);
      assertEquals(here.recv(array, 0), 6);
      assertEquals(array, Uint8Array.of(...bytes(6), 0xee, 0xee, 0xee, 0xee));
    },
  },
  {
    name: "recv() takes a part and later the rest",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(5000));
      await queued(here, 5000);
      assertEquals(receive(here, 1).data, bytes(5000).subarray(0, 1));
      assertEquals(receive(here, 4095).data, bytes(5000).subarray(1, 4096));
      assertEquals(receive(here, 5000).data, bytes(5000).subarray(4096));
    },
  },
  {
    name: "recv() runs over the bounds of what was sent",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      for (let i = 0; i < 10; i++) await there.sendAll(bytes(1000, i));
      await queued(here, 10_000);
      assertEquals(receive(here, 10_000).result, 10_000);
    },
  },
  {
    name: "recv() after a part of merged small sends gives the rest in order",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(5, 1));
      await queued(here, 5);
      assertEquals(receive(here, 2).data, bytes(5, 1).subarray(0, 2));
      await there.sendAll(bytes(7, 2));
      await queued(here, 10);
      assertEquals(
        receive(here, 20).data,
        Uint8Array.of(...bytes(5, 1).subarray(2), ...bytes(7, 2)),
      );
    },
  },
  {
    name: "recv() with MSG_PEEK leaves the bytes queued",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(100));
      await queued(here, 100);
      assertEquals(receive(here, 10, MSG_PEEK).data, bytes(100).subarray(0, 10));
      assertEquals(receive(here, 200, MSG_PEEK).data, bytes(100));
      assertEquals(receive(here, 200).data, bytes(100));
    },
  },
  {
    name: "recv() with MSG_PEEK after a part was read shows the rest, over packet bounds",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(3000, 1));
      await there.sendAll(bytes(3000, 2));
      await queued(here, 6000);
      receive(here, 2500);
      const rest = Uint8Array.of(...bytes(3000, 1).subarray(2500), ...bytes(3000, 2));
      assertEquals(receive(here, 9000, MSG_PEEK).data, rest);
      assertEquals(receive(here, 9000).data, rest);
    },
  },
  {
    name: "send() and recv() of an unconnected socket give ENOTCONN",
    needs: [],
    run(near) {
      for (const socket of [near.socket(), nearListener(near).listener]) {
        refuses("ENOTCONN", () => socket.send(bytes(1), 0));
        refuses("ENOTCONN", () => socket.recv(bytes(1), 0));
      }
    },
  },
  {
    name: "recv() below SO_RCVLOWAT takes what there is",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      setRcvlowat(here, 128);
      await there.sendAll(bytes(1));
      await queued(here, 1);
      assertEquals(receive(here, 200).data, bytes(1));
    },
  },
  {
    name: "recv() with SO_RCVLOWAT as large as the buffer gives ENOMEM",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      setRcvlowat(here, 262144);
      const large = new Uint8Array(262144);
      refuses("ENOMEM", () => here.recv(large, 0));
      assertEquals(here.recv(large.subarray(1), 0), WOULD_BLOCK);
      setRcvlowat(here, 262143);
      assertEquals(here.recv(large, 0), WOULD_BLOCK);
      setRcvlowat(here, 1);
      await there.sendAll(bytes(4));
      assertEquals((await receiveNext(here, 4)).data, bytes(4));
    },
  },
  {
    name: "send() of 3 MiB arrives whole, the sender waiting for POLLOUT",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const data = bytes(3 << 20);
      const received = there.receiveAll(data.length);
      await sendAll(here, data);
      assert(equal(await received, data));
    },
  },
  {
    name: "recv() of 3 MiB from the far end, in odd sizes",
    needs: [],
    async run(near, far) {
      const { here, there } = await pairBack(near, far);
      const data = bytes(3 << 20);
      const sent = there.sendAll(data).then(() => there.shutdown(SHUT_WR));
      const got = new Uint8Array(data.length);
      for (let at = 0, size = 1; at < got.length; size = size * 3 % 100_003) {
        const part = (await receiveNext(here, size)).data;
        got.set(part, at);
        at += part.length;
      }
      await sent;
      assert(equal(got, data));
      assertEquals((await receiveToEnd(here)).length, 0);
    },
  },
  {
    name: "send() both ways at once through small buffers loses nothing",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(4096, 4096));
      const [mine, theirs] = [bytes(100_000, 1), bytes(100_000, 2)];
      const [got, , gotThere] = await Promise.all([
        receiveAll(here, theirs.length),
        sendAll(here, mine),
        there.receiveAll(mine.length),
        there.sendAll(theirs),
      ]);
      assert(equal(got, theirs) && equal(gotThere, mine));
    },
  },
  {
    name: "outq() is 0 once the peer has read everything",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.send(bytes(64), 0);
      await there.receiveAll(64);
      await there.send(bytes(1));
      await here.wait(POLLIN);
      assertEquals(here.outq(), 0);
    },
  },
  {
    name: "outq() of a socket without a peer gives EOPNOTSUPP, a listener too",
    needs: [],
    run(near) {
      refuses("EOPNOTSUPP", () => near.socket().outq());
      refuses("EOPNOTSUPP", () => nearListener(near).listener.outq());
    },
  },
  {
    name: "send() of single bytes, 2000 of them, arrives in order",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const data = bytes(2000);
      for (const byte of data) {
        while (here.send(Uint8Array.of(byte), 0) === WOULD_BLOCK) await here.wait(POLLOUT);
      }
      assertEquals(await there.receiveAll(2000), data);
      await there.send(bytes(1));
      await here.wait(POLLIN);
      assertPoll(here, POLLIN | POLLOUT);
    },
  },
  {
    name: "send() of 1000 packets of 200 bytes that nobody reads yet loses nothing",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(1));
      for (let i = 0; i < 1000; i++) await there.sendAll(bytes(200, i));
      await queued(here, 200_001);
      assertEquals(receive(here, 1).data, bytes(1));
      for (let i = 0; i < 1000; i++) assertEquals(receive(here, 200).data, bytes(200, i));
      assertEquals(here.takeError(), 0);
    },
  },
];

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
