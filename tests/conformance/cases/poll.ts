/** poll(2) and the waits on it. */
import { assert, assertEquals } from "@std/assert";
import {
  POLLERR,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from "../../../ffi/abi/poll.ts";
import { WOULD_BLOCK } from "../../../src/socket.ts";
import type { Case } from "../case.ts";
import {
  ANY,
  assertPoll,
  buffers,
  bytes,
  nearListener,
  pair,
  queued,
  refuses,
  setRcvlowat,
} from "../helpers.ts";
import { accepted, receive } from "../verbs.ts";

const ALL = POLLIN | POLLOUT | POLLRDHUP;

/** Cases about readiness. */
export const pollCases: readonly Case[] = [
  {
    name: "poll() of a fresh or bound socket is OUT, without HUP",
    needs: [],
    run(near) {
      const socket = near.socket();
      assertPoll(socket, POLLOUT, ALL);
      socket.bind(ANY);
      assertPoll(socket, POLLOUT, ALL);
    },
  },
  {
    name: "poll() of a listener is IN exactly while a connection waits",
    needs: [],
    async run(near, far) {
      const { listener, address } = nearListener(near);
      assertPoll(listener, 0, ALL);
      await (await far.socket()).connect(address);
      await listener.wait(POLLIN);
      assertPoll(listener, POLLIN, ALL);
      near.keep(listener.accept()!);
      assertPoll(listener, 0, ALL);
    },
  },
  {
    name: "poll() of an idle connection is OUT",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      assertPoll(here, POLLOUT, ALL);
    },
  },
  {
    name: "poll() is IN exactly while bytes are queued",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(2));
      await here.wait(POLLIN);
      assertPoll(here, POLLIN | POLLOUT, ALL);
      receive(here, 1);
      assertPoll(here, POLLIN | POLLOUT, ALL);
      receive(here, 1);
      assertPoll(here, POLLOUT, ALL);
    },
  },
  {
    name: "poll() gives of what holds only what was asked for",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(2));
      await here.wait(POLLIN);
      assertPoll(here, POLLIN, POLLIN);
      assertPoll(here, POLLOUT, POLLOUT);
      assertPoll(here, 0, POLLRDHUP);
      assertPoll(here, 0, 0);
    },
  },
  {
    name: "poll() gives POLLRDNORM with IN and POLLWRNORM with OUT",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      await there.sendAll(bytes(2));
      await here.wait(POLLRDNORM);
      assertPoll(here, POLLRDNORM | POLLWRNORM, POLLRDNORM | POLLWRNORM);
      receive(here, 2);
      assertPoll(here, POLLWRNORM, POLLRDNORM | POLLWRNORM);
    },
  },
  {
    name: "poll() is IN from SO_RCVLOWAT bytes on, not before",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      setRcvlowat(here, 128);
      await there.sendAll(bytes(1));
      await queued(here, 1);
      assertPoll(here, 0, POLLIN | POLLRDNORM | POLLRDHUP);
      for (let i = 0; i < 126; i++) await there.sendAll(bytes(1));
      await queued(here, 127);
      assertPoll(here, 0, POLLIN | POLLRDNORM | POLLRDHUP);
      await there.sendAll(bytes(1));
      const events = POLLIN | POLLRDNORM | POLLRDHUP;
      assertEquals(await here.wait(events), POLLIN | POLLRDNORM);
      assertEquals(receive(here, 128).result, 128);
    },
  },
  {
    name: "poll() is IN below SO_RCVLOWAT after the peer's close()",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      setRcvlowat(here, 1000);
      await there.sendAll(bytes(5));
      await there.close();
      await here.wait(POLLIN);
      assertEquals(receive(here, 1000).data, bytes(5));
    },
  },
  {
    name: "poll() is not OUT without credit",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 4096));
      assertEquals(here.send(bytes(5000), 0), 4096);
      assertPoll(here, 0, ALL);
      assertEquals(here.send(bytes(1), 0), WOULD_BLOCK);
      assertEquals(await there.receiveAll(4096), bytes(5000).subarray(0, 4096));
      assertEquals(await here.wait(POLLOUT), POLLOUT);
    },
  },
  {
    name: "wait() resolves at once where an event holds already",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      assertEquals(await here.wait(POLLIN | POLLOUT), POLLOUT);
    },
  },
  {
    name: "wait() of two at a time: both are told",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const waits = [here.wait(POLLIN), here.wait(POLLIN)];
      await there.sendAll(bytes(1));
      assertEquals(await Promise.all(waits), [POLLIN, POLLIN]);
    },
  },
  {
    name: "wait() for writing is not ended by something to read",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 4096));
      here.send(bytes(4096), 0);
      let written = false;
      const waiting = here.wait(POLLOUT).then((events) => (written = true, events));
      await there.sendAll(bytes(1));
      await here.wait(POLLIN);
      assertEquals(written, false);
      await there.receiveAll(4096);
      assertEquals(await waiting, POLLOUT);
    },
  },
  {
    name: "wait() with nothing asked for still tells of an error",
    needs: [],
    async run(near, far) {
      const here = near.socket();
      here.connect({ cid: far.cid, port: near.port() });
      assertEquals(await here.wait(0), POLLERR);
    },
  },
  {
    name: "wait() of a listener resolves when a connection comes",
    needs: [],
    async run(near, far) {
      const { listener, address } = nearListener(near);
      const waiting = listener.wait(POLLIN);
      await (await far.socket()).connect(address);
      assertEquals(await waiting, POLLIN);
      near.keep(await accepted(listener));
    },
  },
  {
    name: "waitSync() gives EOPNOTSUPP where it could never end",
    needs: ["oneLoop"],
    async run(near, far) {
      const { here } = await pair(near, far);
      refuses("EOPNOTSUPP", () => here.waitSync(POLLIN, 1000));
    },
  },
  {
    name: "waitSync() gives 0 when the time is over",
    needs: ["waitSync"],
    async run(near, far) {
      const { here } = await pair(near, far);
      assertEquals(here.waitSync(POLLIN, 0), 0);
      const start = performance.now();
      assertEquals(here.waitSync(POLLIN, 50), 0);
      assert(performance.now() - start >= 40);
    },
  },
  {
    name: "waitSync() blocks this thread until the far end sends, closes, or reads",
    needs: ["waitSync"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, 4096));
      const sent = there.sendAll(bytes(3));
      assertEquals(here.waitSync(POLLIN, 20_000), POLLIN);
      assertEquals(receive(here, 9).data, bytes(3));
      await sent;
      here.send(bytes(4096), 0);
      const read = there.receiveAll(4096);
      assertEquals(here.waitSync(POLLOUT, 20_000), POLLOUT);
      await read;
      const closed = there.close();
      assertEquals(here.waitSync(POLLRDHUP, 20_000), POLLRDHUP);
      await closed;
    },
  },
];
