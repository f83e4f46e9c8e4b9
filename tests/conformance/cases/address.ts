/** bind(2), ports, names, and what is left after close(2). */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { POLLIN, POLLNVAL, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import { VMADDR_CID_ANY, VMADDR_PORT_ANY } from "../../../ffi/abi/vm_sockets.ts";
import type { Case } from "../case.ts";
import { ANY, bytes, farListener, nearListener, pair, refuses, rejects } from "../helpers.ts";
import { accepted, connected } from "../verbs.ts";

/** Cases about addresses. */
export const addressCases: readonly Case[] = [
  {
    name: "bind() to VMADDR_PORT_ANY chooses a port above 1023",
    needs: [],
    run(near) {
      const socket = near.socket();
      socket.bind(ANY);
      const { cid, port } = socket.localAddress();
      assertEquals(cid, VMADDR_CID_ANY);
      assert(port > 1023 && port < VMADDR_PORT_ANY, `port ${port}`);
    },
  },
  {
    name: "bind() to VMADDR_PORT_ANY chooses a different port each time",
    needs: [],
    run(near) {
      const ports = Array.from({ length: 20 }, () => {
        const socket = near.socket();
        socket.bind(ANY);
        return socket.localAddress().port;
      });
      assertEquals(new Set(ports).size, ports.length);
    },
  },
  {
    name: "bind() takes the local CID and shows it",
    needs: [],
    run(near) {
      const [socket, port] = [near.socket(), near.port()];
      socket.bind({ cid: near.cid, port });
      const local = socket.localAddress();
      assertEquals([local.cid, local.port], [near.cid, port]);
    },
  },
  {
    name: "bind() of a bound socket gives EINVAL and leaves it bound",
    needs: [],
    run(near) {
      const [socket, port] = [near.socket(), near.port()];
      socket.bind({ cid: VMADDR_CID_ANY, port });
      refuses("EINVAL", () => socket.bind({ cid: VMADDR_CID_ANY, port: near.port() }));
      assertEquals(socket.localAddress().port, port);
    },
  },
  {
    name: "bind() to a CID that is not local gives EADDRNOTAVAIL",
    needs: [],
    run(near) {
      const socket = near.socket();
      refuses("EADDRNOTAVAIL", () => socket.bind({ cid: 77, port: near.port() }));
      assertEquals(socket.localAddress().port, VMADDR_PORT_ANY);
    },
  },
  {
    name: "bind() to a port that is taken gives EADDRINUSE",
    needs: [],
    run(near) {
      const address = { cid: near.cid, port: near.port() };
      near.socket().bind(address);
      refuses("EADDRINUSE", () => near.socket().bind(address));
    },
  },
  {
    name: "bind() to a CID conflicts with VMADDR_CID_ANY at the same port, both ways round",
    needs: [],
    run(near) {
      const [first, second] = [near.port(), near.port()];
      near.socket().bind({ cid: VMADDR_CID_ANY, port: first });
      refuses("EADDRINUSE", () => near.socket().bind({ cid: near.cid, port: first }));
      near.socket().bind({ cid: near.cid, port: second });
      refuses("EADDRINUSE", () => near.socket().bind({ cid: VMADDR_CID_ANY, port: second }));
    },
  },
  {
    name: "bind() of a stream and a seqpacket socket share the ports",
    needs: ["seqpacket"],
    run(near) {
      const address = { cid: near.cid, port: near.port() };
      near.socket("stream").bind(address);
      refuses("EADDRINUSE", () => near.socket("seqpacket").bind(address));
    },
  },
  {
    name: "bind() to a port up to 1023 gives EACCES, port 0 too",
    needs: ["unprivileged"],
    run(near) {
      for (const port of [0, 1, 1023]) {
        refuses("EACCES", () => near.socket().bind({ cid: VMADDR_CID_ANY, port }));
      }
      near.socket().bind({ cid: VMADDR_CID_ANY, port: 1024 });
    },
  },
  {
    name: "bind() can have the port again after close()",
    needs: [],
    run(near) {
      const [socket, address] = [near.socket(), { cid: near.cid, port: near.port() }];
      socket.bind(address);
      socket.close();
      near.socket().bind(address);
    },
  },
  {
    name: "localAddress() of an unbound socket is any CID and any port",
    needs: [],
    run(near) {
      const { cid, port } = near.socket().localAddress();
      assertEquals([cid, port], [VMADDR_CID_ANY, VMADDR_PORT_ANY]);
    },
  },
  {
    name: "remoteAddress() of an unconnected socket gives ENOTCONN",
    needs: [],
    run(near) {
      refuses("ENOTCONN", () => near.socket().remoteAddress());
      refuses("ENOTCONN", () => nearListener(near).listener.remoteAddress());
    },
  },
  {
    name: "connect() binds to a port above 1023 and any CID by itself",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const { cid, port } = here.localAddress();
      assertEquals(cid, VMADDR_CID_ANY);
      assert(port > 1023 && port < VMADDR_PORT_ANY, `port ${port}`);
      const remote = await there.remoteAddress();
      assertEquals([remote.cid, remote.port], [near.cid, port]);
    },
  },
  {
    name: "connect() keeps the port that the socket was bound to",
    needs: [],
    async run(near, far) {
      const port = near.port();
      const bindTo = { cid: VMADDR_CID_ANY, port };
      const { here, there } = await pair(near, far, { here: (s) => s.bind(bindTo) });
      assertEquals(here.localAddress().port, port);
      assertEquals((await there.remoteAddress()).port, port);
    },
  },
  {
    name: "remoteAddress() is where the socket connected to",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      const here = near.socket();
      await connected(here, address);
      await listener.accept();
      const { cid, port } = here.remoteAddress();
      assertEquals([cid, port], [address.cid, address.port]);
    },
  },
  {
    name: "accept() gives a socket named after the listener's port and the peer",
    needs: [],
    async run(near, far) {
      const { listener, address } = nearListener(near);
      const there = await far.socket();
      const connecting = there.connect(address);
      const here = near.keep(await accepted(listener));
      await connecting;
      const [local, remote] = [here.localAddress(), here.remoteAddress()];
      assertEquals([local.cid, local.port], [near.cid, address.port]);
      assertEquals([remote.cid, remote.port], [far.cid, (await there.localAddress()).port]);
    },
  },
  {
    name: "remoteAddress() gives ENOTCONN after shutdown()",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      here.shutdown(SHUT_WR);
      refuses("ENOTCONN", () => here.remoteAddress());
    },
  },
  {
    name: "close() lets the connector's port be bound and connected again",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      const local = { cid: VMADDR_CID_ANY, port: near.port() };
      for (let round = 0; round < 2; round++) {
        const here = near.socket();
        here.bind(local);
        await connected(here, address);
        const there = await listener.accept();
        await there.close();
        await here.wait(POLLIN);
        here.close();
      }
    },
  },
  {
    name: "bind() to the port of a connection that the peer has ended gives EADDRINUSE",
    needs: [],
    async run(near, far) {
      const local = { cid: VMADDR_CID_ANY, port: near.port() };
      const { here, there } = await pair(near, far, { here: (s) => s.bind(local) });
      await there.close();
      await here.wait(POLLRDHUP);
      refuses("EADDRINUSE", () => near.socket().bind(local));
      here.close();
      near.socket().bind(local);
    },
  },
  {
    name: "close() makes every other call give EBADF, poll() POLLNVAL, and is silent itself",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      assert(!here.closed);
      here.close();
      here.close();
      assert(here.closed);
      const calls = [
        () => here.bind(ANY),
        () => here.listen(1),
        () => here.connect({ cid: far.cid, port: 5000 }),
        () => here.accept(),
        () => here.send(bytes(1), 0),
        () => here.recv(bytes(1), 0),
        () => here.shutdown(SHUT_WR),
        () => here.getsockopt(40, 0, new Uint8Array(8)),
        () => here.setsockopt(40, 0, new Uint8Array(8)),
        () => here.takeError(),
        () => here.outq(),
        () => here.localAddress(),
        () => here.remoteAddress(),
        () => here.mmap(8192, 1),
      ];
      for (const call of calls) refuses("EBADF", call);
      assertEquals(here.poll(POLLIN), POLLNVAL);
      assertEquals(await here.wait(POLLIN), POLLNVAL);
    },
  },
  {
    name: "wait() gives POLLNVAL when the socket is closed meanwhile",
    needs: [],
    async run(near, far) {
      const { here } = await pair(near, far);
      const waiting = here.wait(POLLIN);
      here.close();
      assertEquals(await waiting & POLLNVAL, POLLNVAL);
    },
  },
  {
    name: "close() of one socket leaves another with the same peer alone",
    needs: [],
    async run(near, far) {
      const [one, two] = [await pair(near, far), await pair(near, far)];
      assertNotEquals(one.here.localAddress().port, two.here.localAddress().port);
      one.here.close();
      await two.there.sendAll(bytes(5));
      await two.here.wait(POLLIN);
      assertEquals(two.here.recv(new Uint8Array(8), 0), 5);
    },
  },
  {
    name: "wait() rejects with the signal's reason, and the socket stays usable",
    needs: [],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const [controller, reason] = [new AbortController(), new Error("enough")];
      const waiting = here.wait(POLLIN, controller.signal);
      controller.abort(reason);
      assertEquals(await assertRejects(() => waiting), reason);
      assertEquals(
        await assertRejects(() => here.wait(POLLIN, AbortSignal.abort(reason))),
        reason,
      );
      await there.sendAll(bytes(3));
      await here.wait(POLLIN);
      assertEquals(here.recv(new Uint8Array(8), 0), 3);
    },
  },
  {
    name: "connect() to a port nobody has bound gives ECONNRESET at the far end too",
    needs: [],
    async run(near, far) {
      const there = await far.socket();
      await rejects("ECONNRESET", there.connect({ cid: near.cid, port: near.port() }));
    },
  },
];
