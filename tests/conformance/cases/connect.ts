/** connect(2), listen(2), accept(2). */
import { assertEquals } from "@std/assert";
import { POLLERR, POLLIN, POLLOUT } from "../../../ffi/abi/poll.ts";
import { SHUT_RDWR } from "../../../ffi/abi/socket.ts";
import { VMADDR_CID_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { Case } from "../case.ts";
import {
  ANY,
  assertPoll,
  bytes,
  farListener,
  nearListener,
  pair,
  pairBack,
  refuses,
  rejects,
  setConnectTimeout,
} from "../helpers.ts";
import { connected, receiveAll, sendAll } from "../verbs.ts";

const ECONNRESET = 104;
const ETIMEDOUT = 110;

/** Cases about making connections. */
export const connectCases: readonly Case[] = [
  {
    name: "connect() meets accept(), and bytes go both ways",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.send(bytes(10, 1), 0);
      assertEquals(await there.receiveAll(10), bytes(10, 1));
      await there.sendAll(bytes(20, 2));
      assertEquals(await receiveAll(here, 20), bytes(20, 2));
    },
  },
  {
    name: "connect() from the far end meets accept() here",
    needs: [],
    async run(near, far) {
      const { here, there } = await pairBack(near, far);
      await there.sendAll(bytes(10, 1));
      assertEquals(await receiveAll(here, 10), bytes(10, 1));
      assertEquals(here.type, "stream");
    },
  },
  {
    name: "connect() to a port that nobody has bound gives ECONNRESET",
    needs: [],
    async run(near, far) {
      await rejects("ECONNRESET", connected(near.socket(), { cid: far.cid, port: near.port() }));
    },
  },
  {
    name: "connect() to a socket that is bound and does not listen gives ECONNRESET",
    needs: [],
    async run(near, far) {
      const [there, port] = [await far.socket(), near.port()];
      await there.bind({ cid: VMADDR_CID_ANY, port });
      await rejects("ECONNRESET", connected(near.socket(), { cid: far.cid, port }));
    },
  },
  {
    name: "connect() to a closed listener gives ECONNRESET",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      await listener.close();
      await rejects("ECONNRESET", connected(near.socket(), address));
    },
  },
  {
    name: "connect() to a listener of the other type gives ECONNRESET",
    needs: ["seqpacket"],
    async run(near, far) {
      const stream = await farListener(far, "stream");
      const seqpacket = await farListener(far, "seqpacket");
      await rejects("ECONNRESET", connected(near.socket("seqpacket"), stream.address));
      await rejects("ECONNRESET", connected(near.socket("stream"), seqpacket.address));
    },
  },
  {
    name: "connect() refused: POLLERR, SO_ERROR once, then POLLOUT alone as on a fresh socket",
    needs: [],
    async run(near, far) {
      const here = near.socket();
      assertEquals(here.connect({ cid: far.cid, port: near.port() }), false);
      // Linux looks at the error, then waits for whoever sets it: one poll may see POLLOUT alone.
      await here.wait(POLLOUT);
      assertEquals(here.poll(POLLOUT) & POLLERR, POLLERR);
      assertEquals([here.takeError(), here.takeError()], [ECONNRESET, 0]);
      assertPoll(here, POLLOUT);
    },
  },
  {
    name: "connect() again after a refusal gives EALREADY, as a non-blocking socket of Linux does",
    needs: [],
    async run(near, far) {
      const here = near.socket();
      const { listener, address } = await farListener(far);
      await rejects("ECONNRESET", connected(here, { cid: far.cid, port: near.port() }));
      refuses("EALREADY", () => here.connect(address));
      await listener.close();
    },
  },
  {
    name: "connect() of a connected socket gives EISCONN",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      const here = near.socket();
      await connected(here, address);
      await listener.accept();
      refuses("EISCONN", () => here.connect(address));
    },
  },
  {
    name: "connect() after shutdown() gives EINVAL",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      here.shutdown(SHUT_RDWR);
      refuses("EINVAL", () => here.connect({ cid: far.cid, port: near.port() }));
    },
  },
  {
    name: "connect() of a listener gives EINVAL",
    needs: [],
    run(near, far) {
      const { listener } = nearListener(near);
      refuses("EINVAL", () => listener.connect({ cid: far.cid, port: near.port() }));
    },
  },
  {
    name: "connect() to a CID that no transport reaches gives ENODEV",
    needs: ["nowhere"],
    run(near) {
      refuses("ENODEV", () => near.socket().connect(near.nowhere));
    },
  },
  {
    name: "connect() under way: a second one gives EALREADY, nothing is readable or writable",
    needs: ["silence"],
    run(near) {
      const { socket, address } = near.silent();
      assertEquals(socket.connect(address), false);
      refuses("EALREADY", () => socket.connect(address));
      assertPoll(socket, 0);
      refuses("ENOTCONN", () => socket.send(bytes(1), 0));
      refuses("ENOTCONN", () => socket.recv(bytes(1), 0));
      refuses("ENOTCONN", () => socket.remoteAddress());
    },
  },
  {
    name: "connect() without an answer gives ETIMEDOUT after SO_VM_SOCKETS_CONNECT_TIMEOUT",
    needs: ["silence"],
    async run(near) {
      const { socket, address } = near.silent();
      setConnectTimeout(socket, 200);
      assertEquals(socket.connect(address), false);
      assertPoll(socket, 0);
      const waiting = socket.wait(POLLOUT);
      await near.elapse(200);
      assertEquals(await waiting, POLLOUT | POLLERR);
      assertEquals([socket.takeError(), socket.takeError()], [ETIMEDOUT, 0]);
      assertPoll(socket, POLLOUT);
    },
  },
  {
    name: "connect() without an answer gives ETIMEDOUT after 2 seconds by default",
    needs: ["silence", "clock"],
    async run(near) {
      const { socket, address } = near.silent();
      socket.connect(address);
      await near.elapse(1_999);
      assertPoll(socket, 0);
      await near.elapse(1);
      await socket.wait(POLLOUT);
      assertEquals(socket.takeError(), ETIMEDOUT);
    },
  },
  {
    name: "connect() can be tried again after a time-out",
    needs: ["silence"],
    async run(near) {
      const { socket, address } = near.silent();
      setConnectTimeout(socket, 50);
      for (let tries = 0; tries < 2; tries++) {
        assertEquals(socket.connect(address), false);
        assertPoll(socket, 0);
        await near.elapse(60);
        assertEquals(await socket.wait(POLLOUT), POLLOUT | POLLERR);
      }
      assertEquals(socket.takeError(), ETIMEDOUT);
    },
  },
  {
    name: "listen() of an unbound socket gives EINVAL",
    needs: [],
    run(near) {
      refuses("EINVAL", () => near.socket().listen(1));
    },
  },
  {
    name: "listen() of a connected socket gives EINVAL",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      refuses("EINVAL", () => here.listen(1));
    },
  },
  {
    name: "listen() with backlog n lets n + 1 connections wait and resets the next",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far, "stream", undefined, 2);
      for (let i = 0; i < 3; i++) await connected(near.socket(), address);
      await rejects("ECONNRESET", connected(near.socket(), address));
      await listener.accept();
      await connected(near.socket(), address);
      await rejects("ECONNRESET", connected(near.socket(), address));
    },
  },
  {
    name: "listen() again changes the backlog",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far, "stream", undefined, 0);
      await connected(near.socket(), address);
      await rejects("ECONNRESET", connected(near.socket(), address));
      await listener.listen(1);
      await connected(near.socket(), address);
    },
  },
  {
    name: "accept() of a socket that does not listen gives EINVAL",
    needs: [],
    async run(near, far) {
      const bound = near.socket();
      bound.bind(ANY);
      const { here } = await pair(near, far);
      for (const socket of [near.socket(), bound, here]) {
        refuses("EINVAL", () => socket.accept());
      }
    },
  },
  {
    name: "accept() gives undefined where no connection waits",
    needs: [],
    run(near) {
      assertEquals(nearListener(near).listener.accept(), undefined);
    },
  },
  {
    name: "accept() gives connections in the order they came",
    needs: [],
    async run(near, far) {
      const { listener, address } = nearListener(near);
      const ports: number[] = [];
      for (let i = 0; i < 4; i++) {
        const there = await far.socket();
        await there.connect(address);
        ports.push((await there.localAddress()).port);
      }
      const got = ports.map(() => near.keep(listener.accept()!).remoteAddress().port);
      assertEquals(got, ports);
    },
  },
  {
    name: "accept() gives a socket whose bytes were sent before it was accepted",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      const here = near.socket();
      await connected(here, address);
      assertEquals(here.send(bytes(100), 0), 100);
      here.close();
      const there = await listener.accept();
      assertEquals(await there.receiveToEnd(), bytes(100));
    },
  },
  {
    name: "listen() serves 100 connections at once",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far, "stream", undefined, 128);
      const here = Array.from({ length: 100 }, () => near.socket());
      await Promise.all(here.map((socket) => connected(socket, address)));
      await Promise.all(here.map((socket, i) => sendAll(socket, Uint8Array.of(i))));
      const seen = new Set<number>();
      for (let i = 0; i < 100; i++) seen.add((await (await listener.accept()).receiveAll(1))[0]!);
      assertEquals(seen.size, 100);
    },
  },
  {
    name: "close() of a listener ends the connections that wait: recv() gives 0",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      const here = near.socket();
      await connected(here, address);
      await listener.close();
      await here.wait(POLLIN);
      assertEquals(here.recv(bytes(1), 0), 0);
    },
  },
  {
    name: "close() of a listener leaves accepted connections alone",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      here.send(bytes(9), 0);
      assertEquals(await there.receiveAll(9), bytes(9));
    },
  },
  {
    name: "close() while connecting: the end that is accepted reads 0",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      const here = near.socket();
      here.connect(address);
      here.close();
      assertEquals((await (await listener.accept()).receiveNext(1)).result, 0);
    },
  },
];
