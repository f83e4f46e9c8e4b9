/** shutdown(2), close(2), and what the other end sees of them. */
import { assertEquals } from "@std/assert";
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { SHUT_RD, SHUT_RDWR, SHUT_WR } from "../../../ffi/abi/socket.ts";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { Case, Near } from "../case.ts";
import type { Far } from "../far.ts";
import {
  assertPoll,
  bytes,
  type Ends,
  nearListener,
  pair,
  pairBack,
  queued,
  refuses,
  rejects,
} from "../helpers.ts";
import { receive, receiveNext } from "../verbs.ts";

const ALL = POLLIN | POLLOUT | POLLRDHUP;

/** A pair whose far end has sent 10 bytes and closed, all of which has arrived. */
async function closedPair(near: Near, far: Far): Promise<Ends> {
  const ends = await pair(near, far);
  await ends.there.sendAll(bytes(10));
  await ends.there.close();
  await ends.here.wait(POLLRDHUP);
  return ends;
}

/** Cases about the end of a connection. */
export const closeCases: readonly Case[] = [
  {
    name: "shutdown(SHUT_WR) of the peer: recv() drains, then 0 again and again",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(10));
      await there.shutdown(SHUT_WR);
      await here.wait(POLLRDHUP);
      assertEquals(receive(here, 4).data, bytes(10).subarray(0, 4));
      assertEquals(receive(here, 10).data, bytes(10).subarray(4));
      assertEquals([receive(here, 1).result, receive(here, 1).result], [0, 0]);
    },
  },
  {
    name: "shutdown(SHUT_WR) of the peer: send() still works, poll() is IN, OUT, RDHUP",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.shutdown(SHUT_WR);
      await here.wait(POLLRDHUP);
      assertPoll(here, POLLIN | POLLOUT | POLLRDHUP, ALL);
      assertEquals(here.send(bytes(5), 0), 5);
      assertEquals(await there.receiveAll(5), bytes(5));
    },
  },
  {
    name: "shutdown(SHUT_RD) of the peer: send() gives EPIPE, what the peer sends still arrives",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.shutdown(SHUT_RD);
      await there.sendAll(bytes(5));
      await here.wait(POLLIN);
      refuses("EPIPE", () => here.send(bytes(1), 0));
      assertEquals(receive(here, 10).data, bytes(5));
      assertPoll(here, POLLOUT, ALL);
    },
  },
  {
    name: "shutdown(SHUT_WR): send() gives EPIPE, recv() still works, the peer reads 0",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.shutdown(SHUT_WR);
      refuses("EPIPE", () => here.send(bytes(1), 0));
      assertPoll(here, 0, ALL);
      assertEquals((await there.receiveNext(1)).result, 0);
      await there.sendAll(bytes(5));
      assertEquals((await receiveNext(here, 10)).data, bytes(5));
    },
  },
  {
    name: "shutdown(SHUT_RD): recv() gives 0 though data is queued, the peer's send() gives EPIPE",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(10));
      await queued(here, 10);
      here.shutdown(SHUT_RD);
      assertEquals(receive(here, 10).result, 0);
      assertPoll(here, POLLIN | POLLOUT | POLLRDHUP, ALL);
      assertEquals(here.send(bytes(3), 0), 3);
      assertEquals(await there.receiveAll(3), bytes(3));
      await rejects("EPIPE", there.send(bytes(1)));
    },
  },
  {
    name: "shutdown() of an unconnected socket gives ENOTCONN, a listener too",
    needs: [],
    run(near) {
      refuses("ENOTCONN", () => near.socket().shutdown(SHUT_RDWR));
      refuses("ENOTCONN", () => nearListener(near).listener.shutdown(SHUT_WR));
    },
  },
  {
    name: "shutdown() twice is no error",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.shutdown(SHUT_WR);
      here.shutdown(SHUT_WR);
      assertEquals((await there.receiveNext(1)).result, 0);
    },
  },
  {
    name: "shutdown(SHUT_WR) of both ends is POLLHUP",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.shutdown(SHUT_WR);
      await there.receiveNext(1);
      await there.shutdown(SHUT_WR);
      await here.wait(POLLRDHUP);
      assertPoll(here, POLLIN | POLLRDHUP | POLLHUP, ALL);
      assertEquals(receive(here, 1).result, 0);
    },
  },
  {
    name: "shutdown(SHUT_RDWR) is POLLHUP at once, recv() gives 0, send() EPIPE",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.shutdown(SHUT_RDWR);
      assertPoll(here, POLLIN | POLLRDHUP | POLLHUP, ALL);
      assertEquals(receive(here, 1).result, 0);
      refuses("EPIPE", () => here.send(bytes(1), 0));
      assertEquals((await there.receiveNext(1)).result, 0);
      await rejects("EPIPE", there.send(bytes(1)));
    },
  },
  {
    name: "shutdown() of one way after the other ends the connection like both",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.shutdown(SHUT_RD);
      here.shutdown(SHUT_WR);
      assertEquals((await there.receiveNext(1)).result, 0);
      await rejects("EPIPE", there.send(bytes(1)));
      refuses("EPIPE", () => here.send(bytes(1), 0));
    },
  },
  {
    name: "shutdown() wakes a wait() of this socket",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      const waiting = here.wait(POLLIN);
      here.shutdown(SHUT_RD);
      assertEquals(await waiting & POLLIN, POLLIN);
    },
  },
  {
    name: "close() of the peer: recv() gives the bytes that were sent before, then 0",
    needs: [],
    async run(near, far) {
      const { here } = await closedPair(near, far);
      assertEquals(receive(here, 20).data, bytes(10));
      assertEquals([receive(here, 1).result, receive(here, 1).result], [0, 0]);
    },
  },
  {
    name: "close() of the peer: send() gives EPIPE, before and after draining",
    needs: [],
    async run(near, far) {
      const { here } = await closedPair(near, far);
      refuses("EPIPE", () => here.send(bytes(1), 0));
      receive(here, 20);
      refuses("EPIPE", () => here.send(bytes(1), 0));
    },
  },
  {
    name: "close() of the peer: poll() is IN, OUT, RDHUP; no HUP, and SO_ERROR is 0",
    needs: [],
    async run(near, far) {
      const { here } = await closedPair(near, far);
      assertPoll(here, POLLIN | POLLOUT | POLLRDHUP, ALL);
      receive(here, 20);
      assertPoll(here, POLLIN | POLLOUT | POLLRDHUP, ALL);
      assertEquals(here.takeError(), 0);
    },
  },
  {
    name: "close() of the peer: shutdown() here is no error and makes it POLLHUP",
    needs: [],
    async run(near, far) {
      const { here } = await closedPair(near, far);
      here.shutdown(SHUT_WR);
      assertPoll(here, POLLIN | POLLRDHUP | POLLHUP, ALL);
    },
  },
  {
    name: "close() of the peer wakes a wait() here",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const waiting = here.wait(POLLIN);
      await there.close();
      assertEquals(await waiting & POLLIN, POLLIN);
      assertEquals(receive(here, 1).result, 0);
    },
  },
  {
    name: "close() with bytes unread is an end of stream at the peer, never ECONNRESET",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(1000));
      await queued(here, 1000);
      here.close();
      assertEquals((await there.receiveNext(1)).result, 0);
      assertEquals(await there.takeError(), 0);
      await rejects("EPIPE", there.send(bytes(1)));
    },
  },
  {
    name: "close() right after send() loses nothing",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      assertEquals(here.send(bytes(200_000), 0), 200_000);
      here.close();
      assertEquals(await there.receiveToEnd(), bytes(200_000));
    },
  },
  {
    name: "close() of both ends at the same time is quiet",
    needs: [],
    async run(near, far) {
      const { here, there } = await pairBack(near, far);
      const closing = there.close();
      here.close();
      await closing;
    },
  },
  {
    name: "close() keeps the port while the peer has bytes unread, until the peer closes too",
    needs: [],
    async run(near, far) {
      const local = { cid: VMADDR_CID_ANY, port: near.port() };
      const { here, there } = await pair(near, far, { here: (s) => s.bind(local) });
      here.send(bytes(1), 0);
      await there.wait(POLLIN);
      here.close();
      await there.wait(POLLRDHUP);
      refuses("EADDRINUSE", () => near.socket().bind(local));
      await there.close();
      await bindable(near, local);
    },
  },
  {
    name: "close() gives up on a peer that does not answer after 8 seconds",
    needs: ["clock"],
    async run(near, far) {
      const local = { cid: VMADDR_CID_ANY, port: near.port() };
      const { here, there } = await pair(near, far, { here: (s) => s.bind(local) });
      here.send(bytes(5), 0);
      await there.wait(POLLIN);
      here.close();
      await near.elapse(7_900);
      refuses("EADDRINUSE", () => near.socket().bind(local));
      await near.elapse(200);
      near.socket().bind(local);
      assertEquals((await there.receiveAll(5)).length, 5);
      assertEquals((await there.receiveNext(1)).result, 0);
    },
  },
];

/** Binds once the reset that frees the port has arrived. */
async function bindable(near: Near, local: { cid: number; port: number }): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      return near.socket().bind(local);
    } catch (error) {
      if (tries === 1000) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
