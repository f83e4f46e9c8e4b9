/** SOCK_SEQPACKET: messages, their bounds, their flags. */
import { assert, assertEquals } from "@std/assert";
import { POLLIN, POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { MSG_EOR, MSG_PEEK, MSG_TRUNC, SHUT_RD, SHUT_WR } from "../../../ffi/abi/socket.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import type { Case } from "../case.ts";
import {
  arrived,
  assertPoll,
  buffers,
  bytes,
  pair,
  pairBack,
  refuses,
  rejects,
  setRcvlowat,
  settle,
} from "../helpers.ts";
import { receive, receiveNext, sendAll } from "../verbs.ts";

const seqpacket = { type: "seqpacket" } as const;

/** Cases about messages. All need `seqpacket`. */
export const seqpacketCases: readonly Case[] = [
  {
    name: "recv() of a seqpacket socket gives one message at a time",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      for (const length of [1, 100, 5000, 70_000]) await there.sendAll(bytes(length, length));
      for (const length of [1, 100, 5000, 70_000]) {
        const { data, flags } = await receiveNext(here, 100_000);
        assertEquals([data.length, flags], [length, 0]);
        assertEquals(data, bytes(length, length));
      }
      assertEquals(receive(here, 1).result, WOULD_BLOCK);
    },
  },
  {
    name: "recv() drops the rest of a message that is longer than the buffer: MSG_TRUNC",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(100, 1));
      await there.sendAll(bytes(3, 2));
      assertEquals(await receiveNext(here, 10), {
        result: 10,
        data: bytes(100, 1).slice(0, 10),
        flags: MSG_TRUNC,
      });
      assertEquals((await receiveNext(here, 10)).data, bytes(3, 2));
    },
  },
  {
    name: "recv() with MSG_TRUNC gives the real length of a message",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(100));
      const { result, data, flags } = await receiveNext(here, 50, MSG_TRUNC);
      assertEquals([result, data, flags], [100, bytes(100).slice(0, 50), MSG_TRUNC]);
    },
  },
  {
    name: "recv() of a message exactly as long as the buffer has no MSG_TRUNC",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(64));
      const { result, flags } = await receiveNext(here, 64, MSG_TRUNC);
      assertEquals([result, flags], [64, 0]);
    },
  },
  {
    name: "recv() tells MSG_EOR of exactly those messages that were sent with it",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      const sent = [0, MSG_EOR, 0, MSG_EOR, MSG_EOR];
      for (const flags of sent) await there.sendAll(bytes(10), flags);
      const got = [];
      while (got.length < sent.length) got.push((await receiveNext(here, 10)).flags);
      assertEquals(got, sent);
    },
  },
  {
    name: "recv() tells MSG_EOR and MSG_TRUNC together",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(100_000), MSG_EOR);
      const { result, flags } = await receiveNext(here, 10, MSG_TRUNC);
      assertEquals([result, flags], [100_000, MSG_EOR | MSG_TRUNC]);
    },
  },
  {
    name: "recv() with MSG_PEEK leaves the message, and tells its length and flags",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(80_000), MSG_EOR);
      await receiveNext(here, 1, MSG_PEEK); // POLLIN may tell of a part of it
      for (let times = 0; times < 2; times++) {
        const { result, data, flags } = receive(here, 10, MSG_PEEK | MSG_TRUNC);
        assertEquals([result, data], [80_000, bytes(80_000).slice(0, 10)]);
        assertEquals(flags, MSG_EOR | MSG_TRUNC);
      }
      assertEquals(receive(here, 80_000, MSG_PEEK).data, bytes(80_000));
      assertEquals(receive(here, 80_000).data, bytes(80_000));
      assertEquals(receive(here, 1).result, WOULD_BLOCK);
    },
  },
  {
    name: "recv() into an empty array gives 0 and leaves the message",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(9));
      await here.wait(POLLIN);
      assertEquals(here.recv(new Uint8Array(0), 0), 0);
      assertEquals(receive(here, 9).data, bytes(9));
    },
  },
  {
    name: "send() of an empty message gives 0, and nothing arrives",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      assertEquals(here.send(new Uint8Array(0), MSG_EOR), 0);
      here.send(bytes(5), 0);
      const { data, flags } = await there.receiveNext(10);
      assertEquals([data, flags], [bytes(5), 0]);
    },
  },
  {
    name: "send() of a message as large as the buffers goes through, one byte more is EMSGSIZE",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      refuses("EMSGSIZE", () => here.send(new Uint8Array(262145), 0));
      assertEquals(here.send(bytes(262144), 0), 262144);
      const { result, data } = await there.receiveNext(300_000);
      assertEquals(result, 262144);
      assert(data.every((byte, i) => byte === bytes262144[i]));
    },
  },
  {
    name: "send() is limited by the smaller one of the two buffers",
    needs: ["seqpacket"],
    async run(near, far) {
      for (const [mine, theirs] of [[5000, 9000], [9000, 5000]] as const) {
        const { here, there } = await pair(near, far, buffers(mine, theirs, "seqpacket"));
        refuses("EMSGSIZE", () => here.send(new Uint8Array(5001), 0));
        assertEquals(here.send(bytes(5000), 0), 5000);
        assertEquals((await there.receiveNext(9000)).result, 5000);
      }
    },
  },
  {
    name: "send() of 1 MiB goes through once both buffers are that large",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(1 << 20, 1 << 20, "seqpacket"));
      assertEquals(here.send(bytes(1 << 20), MSG_EOR), 1 << 20);
      const { result, flags } = await there.receiveNext(1 << 20);
      assertEquals([result, flags], [1 << 20, MSG_EOR]);
    },
  },
  {
    name: "send() without credit would block, also for a message that is too large",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(8192, 4096, "seqpacket"));
      assertEquals(here.send(bytes(4096), 0), 4096);
      assertEquals(here.send(bytes(1), 0), WOULD_BLOCK);
      assertEquals(here.send(bytes(9000), 0), WOULD_BLOCK);
      await there.receiveNext(4096);
      await here.wait(POLLOUT);
      refuses("EMSGSIZE", () => here.send(bytes(9000), 0));
    },
  },
  {
    name: "send() with credit for a part only takes nothing, and nothing is glued to what follows",
    needs: ["seqpacket", "wholeMessages"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(4096, 4096, "seqpacket"));
      assertEquals(here.send(bytes(3000, 1), 0), 3000);
      assertEquals(here.send(bytes(2000, 2), 0), WOULD_BLOCK);
      assertEquals(here.send(bytes(10, 3), 0), 10);
      assertEquals((await there.receiveNext(4096)).data, bytes(3000, 1));
      assertEquals((await there.receiveNext(4096)).data, bytes(10, 3));
      await settle(near, far);
      assertEquals(here.send(bytes(2000, 2), 0), 2000);
      assertEquals((await there.receiveNext(4096)).data, bytes(2000, 2));
    },
  },
  {
    name: "wait(POLLOUT) after a message that found no room waits for room for all of it",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(4096, 4096, "seqpacket"));
      here.send(bytes(2000), 0);
      here.send(bytes(2000), 0);
      assertEquals(here.send(bytes(4000), 0), WOULD_BLOCK);
      const waiting = here.wait(POLLOUT);
      await there.receiveNext(4096);
      await settle(near, far);
      assertPoll(here, 0);
      await there.receiveNext(4096);
      assertEquals(await waiting, POLLOUT);
      assertEquals(here.send(bytes(4000), 0), 4000);
    },
  },
  {
    name: "recv() of a message gives its credit back at once",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      for (let round = 0; round < 5; round++) {
        assertEquals(here.send(bytes(262144), 0), 262144);
        assertEquals((await there.receiveNext(1)).result, 1);
        assertEquals(await here.wait(POLLOUT), POLLOUT);
      }
    },
  },
  {
    name: "recv() keeps the bounds of 300 messages of all sizes",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pairBack(near, far, seqpacket);
      const sizes = Array.from({ length: 300 }, (_, i) => 1 + (i * 7919) % (i % 2 ? 32768 : 200));
      const sent = (async (): Promise<void> => {
        for (const [i, size] of sizes.entries()) {
          await there.sendAll(bytes(size, i), i % 32 === 0 ? MSG_EOR : 0);
        }
      })();
      for (const [i, size] of sizes.entries()) {
        const { data, flags } = await receiveNext(here, 32768);
        assertEquals([data.length, flags], [size, i % 32 === 0 ? MSG_EOR : 0]);
        assertEquals(data, bytes(size, i));
      }
      await sent;
    },
  },
  {
    name: "shutdown(SHUT_WR) of a seqpacket peer: recv() gives the messages, then 0",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(10, 1));
      await there.sendAll(bytes(20, 2));
      await arrived({ here, there });
      assertEquals(receive(here, 99).data, bytes(10, 1));
      assertEquals(receive(here, 99).data, bytes(20, 2));
      assertEquals(receive(here, 99).result, 0);
      await sendAll(here, bytes(5));
      assertEquals((await there.receiveNext(9)).data, bytes(5));
    },
  },
  {
    name: "close() of a seqpacket peer: messages, then 0, and send() gives EPIPE",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      await there.sendAll(bytes(10));
      await there.close();
      await here.wait(POLLRDHUP);
      assertEquals(receive(here, 99).data, bytes(10));
      assertEquals(receive(here, 99).result, 0);
      refuses("EPIPE", () => here.send(bytes(1), 0));
      assertPoll(here, POLLIN | POLLOUT | POLLRDHUP, POLLIN | POLLOUT | POLLRDHUP);
    },
  },
  {
    name: "shutdown(SHUT_WR) of a seqpacket socket: send() gives EPIPE",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      here.shutdown(SHUT_WR);
      refuses("EPIPE", () => here.send(bytes(1), 0));
      assertEquals((await there.receiveNext(1)).result, 0);
    },
  },
  {
    name: "send() and recv() of an unconnected seqpacket socket give ENOTCONN",
    needs: ["seqpacket"],
    async run(near, far) {
      const here = near.socket("seqpacket");
      assertEquals(here.type, "seqpacket");
      refuses("ENOTCONN", () => here.send(bytes(1), 0));
      refuses("ENOTCONN", () => here.recv(bytes(1), 0));
      await rejects("ENOTCONN", (await far.socket("seqpacket")).send(bytes(1)));
    },
  },
  {
    name: "poll() of a seqpacket socket: a message shorter than SO_RCVLOWAT is not IN",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      setRcvlowat(here, 100);
      await there.sendAll(bytes(50));
      while (receive(here, 1, MSG_PEEK).result === WOULD_BLOCK) await turn();
      assertPoll(here, POLLOUT);
      await there.sendAll(bytes(50));
      assertEquals(await here.wait(POLLIN), POLLIN);
      assertEquals(receive(here, 99).result, 50);
    },
  },
  {
    name: "recv() of 1000 messages of one byte keeps them apart, with larger buffers",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(1 << 20, 1 << 20, "seqpacket"));
      const sent = (async (): Promise<void> => {
        for (let i = 0; i < 1000; i++) await there.sendAll(Uint8Array.of(i));
      })();
      for (let i = 0; i < 1000; i++) {
        assertEquals((await receiveNext(here, 2)).data, Uint8Array.of(i));
      }
      await sent;
    },
  },
  {
    name: "send() of the first message works after shutdown(SHUT_RD)",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      here.shutdown(SHUT_RD);
      assertEquals(here.send(bytes(100), 0), 100);
      assertEquals((await there.receiveNext(200)).data, bytes(100));
    },
  },
  {
    name: "more messages than the receiver has memory for end the connection: ENOBUFS",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, seqpacket);
      let sent = 0;
      try {
        while (sent < 1000) {
          if (await there.send(Uint8Array.of(sent)) === WOULD_BLOCK) break;
          sent++;
        }
      } catch (error) {
        assertEquals((error as { code?: string }).code, "EPIPE");
      }
      await here.wait(POLLRDHUP);
      assert(sent >= 455, `${sent} messages were sent`);
      assertEquals(here.takeError(), 105);
      assertEquals(receive(here, 1).data, Uint8Array.of(0));
    },
  },
  {
    name: "recv() of a message while ENOBUFS is pending gives that, and the message is lost",
    needs: ["seqpacket"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(1500, 262144, "seqpacket"));
      for (let i = 0; i < 3; i++) assertEquals(await there.send(Uint8Array.of(i)), 1);
      await here.wait(POLLRDHUP);
      refuses("ENOBUFS", () => receive(here, 1));
      assertEquals(here.takeError(), 105);
      assertEquals(receive(here, 1).data, Uint8Array.of(1));
      assertEquals(receive(here, 1).result, 0);
    },
  },
];

const bytes262144 = bytes(262144);

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
