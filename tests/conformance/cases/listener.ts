/** `listen()`, `Listener`, and the byte streams of a `Conn`. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Conn, connect, listen, type VsockAddress, VsockError } from "../../../mod.ts";
import { SHUT_WR } from "../../../ffi/abi/socket.ts";
import type { Case, Near } from "../case.ts";
import type { Far, FarSocket } from "../far.ts";
import { ANY, bytes, rejects } from "../helpers.ts";
import { concat } from "../verbs.ts";

/** A near Conn that a near listener accepted, and the far socket. */
async function acceptedPair(
  near: Near,
  far: Far,
): Promise<{ conn: Conn<VsockAddress>; there: FarSocket }> {
  const listener = near.keep(listen(ANY, { transport: near.transport }));
  const there = await far.socket();
  const connecting = there.connect({ cid: near.cid, port: listener.addr.port });
  const conn = near.keep(await listener.accept());
  await connecting;
  return { conn, there };
}

async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return concat(parts);
}

/** Cases about listeners and streams. */
export const listenerCases: readonly Case[] = [
  {
    name: "listen() with any port tells which one it got, and accept() gives a Conn",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      assertEquals(conn.remoteAddr.cid, far.cid);
      assertEquals(conn.remoteAddr.port, (await there.localAddress()).port);
      await conn.write(bytes(5));
      assertEquals(await there.receiveAll(5), bytes(5));
    },
  },
  {
    name: "listen() on a port that is taken throws EADDRINUSE with the address",
    needs: [],
    run(near) {
      const address = { cid: near.cid, port: near.port() };
      near.keep(listen(address, { transport: near.transport }));
      const error = assertThrows(
        () => listen(address, { transport: near.transport }),
        VsockError,
      );
      assertEquals([error.op, error.code, error.address], ["bind", "EADDRINUSE", address]);
    },
  },
  {
    name: "listen() with a bad address or backlog throws a RangeError and binds nothing",
    needs: [],
    run(near) {
      const port = near.port();
      const { transport, cid } = near;
      assertThrows(() => listen({ cid: -1, port }, { transport }), RangeError);
      assertThrows(() => listen({ cid, port }, { transport, backlog: -1 }), RangeError);
      assertThrows(() => listen({ cid, port }, { transport, backlog: NaN }), RangeError);
      near.keep(listen({ cid, port }, { transport }));
    },
  },
  {
    name: "listen() with options hands them on to each connection",
    needs: [],
    async run(near, far) {
      const options = { bufferSize: 1 << 20, rcvlowat: 50 };
      const listener = near.keep(listen(ANY, { transport: near.transport, options }));
      const there = await far.socket();
      const connecting = there.connect({ cid: near.cid, port: listener.addr.port });
      const conn = near.keep(await listener.accept());
      await connecting;
      assertEquals([conn.options.bufferSize, conn.options.rcvlowat], [1 << 20, 50]);
    },
  },
  {
    name: "listen() of type seqpacket accepts seqpacket connections",
    needs: ["seqpacket"],
    async run(near, far) {
      const options = { transport: near.transport, type: "seqpacket" } as const;
      const listener = near.keep(listen(ANY, options));
      const there = await far.socket("seqpacket");
      const connecting = there.connect({ cid: near.cid, port: listener.addr.port });
      const conn = near.keep(await listener.accept());
      await connecting;
      await there.sendAll(bytes(9));
      assertEquals([conn.type, (await conn.receiveMessage())?.data], ["seqpacket", bytes(9)]);
    },
  },
  {
    name: "accept() that is pending rejects with EBADF on close()",
    needs: [],
    async run(near) {
      const listener = listen(ANY, { transport: near.transport });
      const accepting = listener.accept();
      listener.close();
      listener.close();
      await rejects("EBADF", accepting);
      await rejects("EBADF", listener.accept());
    },
  },
  {
    name: "accept() while another is pending rejects with EBUSY",
    needs: [],
    async run(near, far) {
      const listener = near.keep(listen(ANY, { transport: near.transport }));
      const accepting = listener.accept();
      await rejects("EBUSY", listener.accept());
      await (await far.socket()).connect({ cid: near.cid, port: listener.addr.port });
      near.keep(await accepting);
    },
  },
  {
    name: "accept() ends by timeoutMs or signal, and the next one still accepts",
    needs: [],
    async run(near, far) {
      const listener = near.keep(listen(ANY, { transport: near.transport }));
      await rejects("ETIMEDOUT", listener.accept({ timeoutMs: 20 }));
      const [controller, reason] = [new AbortController(), new Error("enough")];
      const accepting = listener.accept({ signal: controller.signal });
      controller.abort(reason);
      assertEquals(await assertRejects(() => accepting), reason);
      await (await far.socket()).connect({ cid: near.cid, port: listener.addr.port });
      near.keep(await listener.accept());
    },
  },
  {
    name: "for await over a listener gives connections until close()",
    needs: [],
    async run(near, far) {
      const listener = listen(ANY, { transport: near.transport });
      const address = { cid: near.cid, port: listener.addr.port };
      await (await far.socket()).connect(address);
      await (await far.socket()).connect(address);
      let count = 0;
      for await (const conn of listener) {
        near.keep(conn);
        if (++count === 2) listener.close();
      }
      assertEquals(count, 2);
    },
  },
  {
    name: "for await over a listener that is left closes the listener, not the connection",
    needs: [],
    async run(near, far) {
      const listener = listen(ANY, { transport: near.transport });
      const there = await far.socket();
      await there.connect({ cid: near.cid, port: listener.addr.port });
      for await (const conn of listener) {
        near.keep(conn);
        break;
      }
      assert(listener.socket.closed);
      await there.sendAll(bytes(1));
    },
  },
  {
    name: "connect() and listen() of one transport meet",
    needs: ["oneLoop"],
    async run({ transport, cid }) {
      using listener = listen(ANY, { transport });
      using conn = await connect({ cid, port: listener.addr.port }, { transport });
      using peer = await listener.accept();
      await conn.write(bytes(3));
      assertEquals(await peer.read(new Uint8Array(9)), 3);
    },
  },
  {
    name: "readable gives all bytes and ends with the peer's shutdown(SHUT_WR)",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      const sent = there.sendAll(bytes(500_000)).then(() => there.shutdown(SHUT_WR));
      assertEquals(await collect(conn.readable), bytes(500_000));
      await sent;
      await conn.write(bytes(2));
      assertEquals(await there.receiveAll(2), bytes(2));
    },
  },
  {
    name: "readable fills the buffer of a BYOB reader",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      await there.sendAll(bytes(10));
      await there.shutdown(SHUT_WR);
      const reader = conn.readable.getReader({ mode: "byob" });
      const first = await reader.read(new Uint8Array(100));
      assertEquals([first.done, first.value], [false, bytes(10)]);
      assertEquals((await reader.read(new Uint8Array(100))).done, true);
    },
  },
  {
    name: "readable does not read ahead: the sender runs out of credit",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      const stream = conn.readable;
      await there.sendAll(bytes(262144));
      assertEquals(await there.send(bytes(1)), -1);
      await stream.cancel();
    },
  },
  {
    name: "readable cancelled closes the connection",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      await conn.readable.cancel();
      assertEquals((await there.receiveNext(1)).result, 0);
      assert(conn.socket.closed);
    },
  },
  {
    name: "writable writes chunks in order and waits for credit; closing is closeWrite()",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      const received = there.receiveToEnd();
      const writer = conn.writable.getWriter();
      for (let i = 0; i < 10; i++) await writer.write(bytes(60_000, i));
      await writer.close();
      const all = await received;
      assertEquals(all, concat(Array.from({ length: 10 }, (_, i) => bytes(60_000, i))));
      await there.sendAll(bytes(5));
      assertEquals(await conn.read(new Uint8Array(9)), 5);
    },
  },
  {
    name: "writable aborted closes the connection",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      await conn.writable.abort(new Error("enough"));
      assertEquals((await there.receiveNext(1)).result, 0);
      assert(conn.socket.closed);
    },
  },
  {
    name: "writable fails with EPIPE when the peer has closed",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      await there.close();
      assertEquals(await conn.read(new Uint8Array(1)), null);
      await rejects("EPIPE", conn.writable.getWriter().write(bytes(1)));
    },
  },
  {
    name: "readable piped into writable echoes everything",
    needs: [],
    async run(near, far) {
      const { conn, there } = await acceptedPair(near, far);
      const piped = conn.readable.pipeTo(conn.writable);
      const sent = there.sendAll(bytes(400_000)).then(() => there.shutdown(SHUT_WR));
      assertEquals(await there.receiveToEnd(), bytes(400_000));
      await Promise.all([piped, sent]);
    },
  },
];
