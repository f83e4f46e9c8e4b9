/** `connect()` and `Conn`: promises, limits, messages. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Conn, connect, VsockError } from "../../../mod.ts";
import { POLLIN, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { MSG_EOR, SHUT_WR } from "../../../ffi/abi/socket.ts";
import type { SocketType } from "../../../src/socket.ts";
import type { Case, Near } from "../case.ts";
import type { Far, FarSocket } from "../far.ts";
import { bytes, farListener, rejects, setFarBuffer } from "../helpers.ts";

interface ConnEnds {
  readonly conn: Conn;
  readonly there: FarSocket;
}

/** A near Conn and the far socket it is connected to, whose buffer is `there` bytes. */
async function connPair(
  near: Near,
  far: Far,
  type: SocketType = "stream",
  there = 262144,
): Promise<ConnEnds> {
  const { listener, address } = await farListener(far, type, (s) => setFarBuffer(s, there));
  const conn = near.keep(await connect(address, { transport: near.transport, type }));
  return { conn, there: await listener.accept() };
}

/** Cases about connections. */
export const connCases: readonly Case[] = [
  {
    name: "connect() gives a Conn that knows both addresses",
    needs: [],
    async run(near, far) {
      const { listener, address } = await farListener(far);
      const conn = near.keep(await connect(address, { transport: near.transport }));
      const there = await listener.accept();
      assertEquals([conn.remoteAddr.cid, conn.remoteAddr.port], [address.cid, address.port]);
      assertEquals(conn.localAddr.port, (await there.remoteAddress()).port);
      assertEquals([conn.localAddr.transport, conn.type], ["vsock", "stream"]);
    },
  },
  {
    name: "connect() refused rejects with a VsockError that says which call, code and address",
    needs: [],
    async run(near, far) {
      const address = { cid: far.cid, port: near.port() };
      const error = await assertRejects(
        () => connect(address, { transport: near.transport }),
        VsockError,
      );
      assertEquals([error.op, error.code, error.errno], ["connect", "ECONNRESET", 104]);
      assertEquals(error.address, address);
      assert(error.message.includes(`${far.cid}:${address.port}`), error.message);
    },
  },
  {
    name: "connect() with an address out of range rejects with a RangeError",
    needs: [],
    async run(near) {
      for (const bad of [{ cid: -1, port: 5 }, { cid: 1, port: 2 ** 32 }, { cid: NaN, port: 5 }]) {
        await assertRejects(() => connect(bad, { transport: near.transport }), RangeError);
      }
    },
  },
  {
    name: "connect() to a peer that does not answer rejects with ETIMEDOUT after timeoutMs",
    needs: ["silence"],
    async run(near) {
      const { transport, address } = near.silent();
      const connecting = connect(address, { transport, timeoutMs: 50 });
      const error = await assertRejects(() => connecting, VsockError);
      assertEquals([error.op, error.code], ["connect", "ETIMEDOUT"]);
    },
  },
  {
    name: "connect() rejects with the reason of its signal, aborted before or meanwhile",
    needs: ["silence"],
    async run(near) {
      const { transport, address } = near.silent();
      const [controller, reason] = [new AbortController(), new Error("enough")];
      const connecting = connect(address, { transport, signal: controller.signal });
      controller.abort(reason);
      assertEquals(await assertRejects(() => connecting), reason);
      const aborted = connect(address, { transport, signal: controller.signal });
      assertEquals(await assertRejects(() => aborted), reason);
    },
  },
  {
    name: "connect() with localAddress binds to it, and fails with EADDRINUSE where it is taken",
    needs: [],
    async run(near, far) {
      const { address } = await farListener(far);
      const localAddress = { cid: near.cid, port: near.port() };
      const options = { transport: near.transport, localAddress };
      const conn = near.keep(await connect(address, options));
      assertEquals(conn.localAddr.port, localAddress.port);
      const error = await assertRejects(() => connect(address, options), VsockError);
      assertEquals([error.op, error.code], ["bind", "EADDRINUSE"]);
    },
  },
  {
    name: "read() waits for bytes, and gives null at the end",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      const [p, first] = [new Uint8Array(10), bytes(6)];
      const reading = conn.read(p);
      await there.sendAll(first);
      await there.shutdown(SHUT_WR);
      assertEquals([await reading, p.subarray(0, 6)], [6, first]);
      assertEquals([await conn.read(p), await conn.read(p)], [null, null]);
      assertEquals(conn.bytesRead, 6);
    },
  },
  {
    name: "read() into an empty array gives 0",
    needs: [],
    async run(near, far) {
      const { conn } = await connPair(near, far);
      assertEquals(await conn.read(new Uint8Array(0)), 0);
    },
  },
  {
    name: "read() while another is pending rejects with EBUSY and disturbs nothing",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      const p = new Uint8Array(10);
      const reading = conn.read(p);
      await rejects("EBUSY", conn.read(new Uint8Array(10)));
      await there.sendAll(bytes(4));
      assertEquals([await reading, p.subarray(0, 4)], [4, bytes(4)]);
    },
  },
  {
    name: "read() rejects with ETIMEDOUT after timeoutMs, and the next one loses nothing",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      const p = new Uint8Array(10);
      await rejects("ETIMEDOUT", conn.read(p, { timeoutMs: 20 }));
      await rejects("ETIMEDOUT", conn.read(p, { timeoutMs: 0 }));
      await there.sendAll(bytes(4));
      assertEquals([await conn.read(p), p.subarray(0, 4)], [4, bytes(4)]);
    },
  },
  {
    name: "read() rejects with the reason of its signal, and the next one loses nothing",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      const [controller, reason, p] = [new AbortController(), new Error("no"), new Uint8Array(10)];
      const reading = conn.read(p, { signal: controller.signal });
      controller.abort(reason);
      assertEquals(await assertRejects(() => reading), reason);
      await there.sendAll(bytes(4));
      assertEquals([await conn.read(p), p.subarray(0, 4)], [4, bytes(4)]);
    },
  },
  {
    name: "close() makes pending and later calls reject with EBADF",
    needs: [],
    async run(near, far) {
      const { conn } = await connPair(near, far);
      const reading = conn.read(new Uint8Array(10));
      conn.close();
      conn.close();
      await rejects("EBADF", reading);
      await rejects("EBADF", conn.read(new Uint8Array(10)));
      await rejects("EBADF", conn.write(bytes(1)));
      await rejects("EBADF", conn.closeWrite());
    },
  },
  {
    name: "close() of the peer: read() gives null, write() rejects with EPIPE",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      await there.close();
      assertEquals(await conn.read(new Uint8Array(10)), null);
      const error = await assertRejects(() => conn.write(bytes(1)), VsockError);
      assertEquals([error.op, error.code], ["send", "EPIPE"]);
    },
  },
  {
    name: "write() writes everything, waiting for credit, and gives how much",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "stream", 8192);
      const data = bytes(100_000);
      const writing = conn.write(data);
      assertEquals(await there.receiveAll(100_000), data);
      assertEquals([await writing, conn.bytesWritten], [100_000, 100_000]);
    },
  },
  {
    name: "write() while another waits rejects with EBUSY",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "stream", 8192);
      const writing = conn.write(bytes(20_000));
      await rejects("EBUSY", conn.write(bytes(1)));
      assertEquals(await there.receiveAll(20_000), bytes(20_000));
      await writing;
    },
  },
  {
    name: "write() without credit rejects with ETIMEDOUT; bytesWritten says how far it came",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "stream", 8192);
      await rejects("ETIMEDOUT", conn.write(bytes(20_000), { timeoutMs: 20 }));
      assertEquals(conn.bytesWritten, 8192);
      assertEquals(await there.receiveAll(8192), bytes(20_000).slice(0, 8192));
    },
  },
  {
    name: "write() that waits rejects with EPIPE when the peer closes",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "stream", 8192);
      const broken = rejects("EPIPE", conn.write(bytes(20_000)));
      await there.close();
      await broken;
    },
  },
  {
    name: "write() that waits rejects with EPIPE when the peer closes, with bytes unread here",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "stream", 8192);
      await there.sendAll(bytes(1_000));
      await conn.socket.wait(POLLIN);
      const broken = rejects("EPIPE", conn.write(bytes(20_000)));
      await there.close();
      await broken;
    },
  },
  {
    name: "write() goes on by credit when the peer has ended its own side",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "stream", 8192);
      await there.shutdown(SHUT_WR);
      await conn.socket.wait(POLLRDHUP);
      const writing = conn.write(bytes(50_000));
      assertEquals(await there.receiveAll(50_000), bytes(50_000));
      assertEquals(await writing, 50_000);
    },
  },
  {
    name: "closeWrite() ends what the peer reads, reading goes on",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      await conn.write(bytes(5));
      await conn.closeWrite();
      assertEquals(await there.receiveToEnd(), bytes(5));
      await rejects("EPIPE", conn.write(bytes(1)));
      await there.sendAll(bytes(7));
      assertEquals(await conn.read(new Uint8Array(10)), 7);
    },
  },
  {
    name: "read() gives null when the peer had closed before closeWrite()",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      await there.close();
      await conn.socket.wait(POLLRDHUP);
      await conn.closeWrite();
      assertEquals(await conn.read(new Uint8Array(1)), null);
    },
  },
  {
    name: "closeRead() makes the peer's send() fail with EPIPE, and read() give null",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      await conn.closeRead();
      await conn.write(bytes(1));
      await there.receiveAll(1);
      await rejects("EPIPE", there.send(bytes(1)));
      assertEquals(await conn.read(new Uint8Array(10)), null);
    },
  },
  {
    name: "sendMessage() and receiveMessage() keep bounds and ends of records",
    needs: ["seqpacket"],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "seqpacket");
      await conn.sendMessage(bytes(10));
      await conn.sendMessage(bytes(70_000), { endOfRecord: true });
      assertEquals((await there.receiveNext(99)).flags, 0);
      assertEquals((await there.receiveNext(70_000)).flags, MSG_EOR);
      await there.sendAll(bytes(70_000), MSG_EOR);
      await there.sendAll(bytes(3));
      const large = await conn.receiveMessage();
      assertEquals(large?.data, bytes(70_000));
      assertEquals([large?.length, large?.truncated, large?.endOfRecord], [70_000, false, true]);
      const small = await conn.receiveMessage();
      assertEquals([small?.data, small?.endOfRecord], [bytes(3), false]);
    },
  },
  {
    name: "receiveMessage() into a buffer tells what was cut off; peek leaves the message",
    needs: ["seqpacket"],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "seqpacket");
      await there.sendAll(bytes(100));
      const peeked = await conn.receiveMessage({ maxBytes: 5, peek: true });
      assertEquals([peeked?.data, peeked?.length], [bytes(100).slice(0, 5), 100]);
      const cut = await conn.receiveMessage({ buffer: new Uint8Array(10) });
      assertEquals([cut?.data, cut?.length], [bytes(100).slice(0, 10), 100]);
      assertEquals([peeked?.truncated, cut?.truncated], [true, true]);
      await there.shutdown(SHUT_WR);
      assertEquals(await conn.receiveMessage(), null);
    },
  },
  {
    name: "sendMessage() larger than the buffers rejects with EMSGSIZE, empty with a RangeError",
    needs: ["seqpacket"],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "seqpacket");
      await rejects("EMSGSIZE", conn.sendMessage(new Uint8Array(262145)));
      await assertRejects(() => conn.sendMessage(new Uint8Array(0)), RangeError);
      await conn.sendMessage(bytes(4));
      assertEquals((await there.receiveNext(9)).data, bytes(4));
    },
  },
  {
    name: "sendMessage() waits until there is credit for the whole message",
    needs: ["seqpacket"],
    async run(near, far) {
      const { conn, there } = await connPair(near, far, "seqpacket", 8192);
      await conn.sendMessage(bytes(5000, 1));
      const sending = conn.sendMessage(bytes(6000, 2));
      assertEquals((await there.receiveNext(8192)).data, bytes(5000, 1));
      await sending;
      assertEquals((await there.receiveNext(8192)).data, bytes(6000, 2));
    },
  },
  {
    name: "sendMessage() and receiveMessage() of a stream reject with a TypeError",
    needs: [],
    async run(near, far) {
      const { conn } = await connPair(near, far);
      await assertRejects(() => conn.sendMessage(bytes(1)), TypeError);
      await assertRejects(() => conn.receiveMessage(), TypeError);
    },
  },
  {
    name: "options of a Conn are live, and refuse what is no size",
    needs: [],
    async run(near, far) {
      const { conn } = await connPair(near, far);
      assertEquals(conn.options.bufferSize, 262144);
      conn.options.bufferSize = 65536;
      conn.options.rcvlowat = 100;
      assertEquals([conn.options.bufferSize, conn.options.rcvlowat], [65536, 100]);
      for (const bad of [NaN, -1, 1.5]) {
        assertThrows(() => conn.options.bufferSize = bad, RangeError);
      }
      assertEquals(conn.options.bufferSize, 65536);
    },
  },
  {
    name: "options.rcvlowat makes a pending read() wait for as many bytes",
    needs: [],
    async run(near, far) {
      const { conn, there } = await connPair(near, far);
      conn.options.rcvlowat = 100;
      const reading = conn.read(new Uint8Array(200));
      await there.sendAll(bytes(60));
      await there.sendAll(bytes(60));
      assertEquals(await reading, 120);
    },
  },
  {
    name: "using closes a Conn, await using too",
    needs: [],
    async run(near, far) {
      const [one, two] = [await connPair(near, far), await connPair(near, far)];
      {
        using _conn = one.conn;
        await using _other = two.conn;
      }
      assertEquals((await one.there.receiveNext(1)).result, 0);
      assertEquals((await two.there.receiveNext(1)).result, 0);
    },
  },
];
