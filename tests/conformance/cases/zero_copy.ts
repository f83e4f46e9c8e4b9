/** MSG_ZEROCOPY: whose memory it is, and until when. */
import { setImmediate } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import { POLLERR, POLLIN } from "../../../ffi/abi/poll.ts";
import { MappedRegion } from "../../../ffi/memory.ts";
import { Conn } from "../../../src/conn.ts";
import { type Socket, WOULD_BLOCK, type ZeroCopySend } from "../../../src/socket.ts";
import type { Case } from "../case.ts";
import { buffers, bytes, type Ends, pair, pairBack, rejects, settle } from "../helpers.ts";

/** One packet. */
const PACKET = 65_536;
const LENGTH = 200_000;

/** Sends of `socket`, and how those ended that have. */
class Sender {
  readonly ended: [bytes: number, copied: boolean][] = [];
  readonly zeroCopy: ZeroCopySend;

  constructor({ zeroCopy }: Socket) {
    assert(zeroCopy !== undefined);
    assertEquals(zeroCopy.unsupported, undefined);
    this.zeroCopy = zeroCopy;
  }

  send(data: Uint8Array): number {
    return this.zeroCopy.send(data, (bytes, copied) => this.ended.push([bytes, copied]));
  }

  /** Waits until `count` have ended. */
  async ends(count: number): Promise<void> {
    this.zeroCopy.watch();
    while (this.ended.length < count) await setImmediate();
  }
}

/**
 * Sends from `conn` what a peer with `credit` gets a part of, and looks whether it is handed back.
 */
function lend(conn: Conn, data: Uint8Array, signal?: AbortSignal): { over: () => boolean } & {
  readonly writing: Promise<number>;
} {
  let over = false;
  const writing = conn.write(data, { zeroCopy: true, signal });
  const end = (): boolean => over = true;
  writing.then(end, end);
  return { writing, over: () => over };
}

/** A connection with credit for `PACKET` bytes one way. */
async function narrow(ends: Promise<Ends>): Promise<{ conn: Conn; there: Ends["there"] }> {
  const { here, there } = await ends;
  return { conn: new Conn(here), there };
}

/** Cases about zero-copy sends. */
export const zeroCopyCases: readonly Case[] = [
  ...[pair, pairBack].map((connect): Case => ({
    name: `zeroCopy.send() is over when the peer has read it (${connect.name})`,
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { here, there } = await connect(near, far);
      const sender = new Sender(here);
      const data = bytes(LENGTH);
      assertEquals(sender.send(data), PACKET);
      await settle(near, far);
      assertEquals([sender.zeroCopy.reap(), sender.ended], [0, []]);
      assertEquals(await there.receiveAll(PACKET), data.subarray(0, PACKET));
      await sender.ends(1);
      assertEquals(sender.ended, [[PACKET, false]]);
    },
  })),
  {
    name: "zeroCopy.send() copies less than a page, and says so at once",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const sender = new Sender(here);
      assertEquals(sender.send(bytes(4095)), 4095);
      assertEquals(sender.ended, [[4095, true]]);
      assertEquals(await there.receiveAll(4095), bytes(4095));
    },
  },
  {
    name: "zeroCopy.send() is copied where there is credit for a part, and counted right",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(262144, PACKET + 10_000));
      const sender = new Sender(here);
      const data = bytes(LENGTH);
      assertEquals([sender.send(data), sender.send(data.subarray(PACKET))], [PACKET, 10_000]);
      assertEquals(sender.send(data), WOULD_BLOCK);
      await there.receiveAll(PACKET + 10_000);
      await sender.ends(2);
      assertEquals(sender.ended, [[PACKET, false], [10_000, true]]);
      assertEquals(sender.send(data), PACKET);
      await there.receiveAll(PACKET);
      await sender.ends(3);
      assertEquals(sender.ended[2], [PACKET, false]);
    },
  },
  {
    name: "zeroCopy.send() of many lengths through little credit ends each send once",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { here, there } = await pair(near, far, buffers(100_000, 100_000));
      const sender = new Sender(here);
      const total = 3_000_000;
      const data = bytes(total);
      const reading = there.receiveAll(total);
      let [sent, sends] = [0, 0];
      for (let state = 7; sent < total;) {
        state = Math.imul(state, 1664525) + 1013904223 >>> 0;
        const n = sender.send(data.subarray(sent, sent + 4096 + state % PACKET));
        if (n > 0) sends++;
        if (n > 0) sent += n;
        else await sender.zeroCopy.wait();
      }
      assertEquals(await reading, data);
      await sender.ends(sends);
      assertEquals(sender.ended.reduce((sum, [bytes]) => sum + bytes, 0), total);
      assertEquals([sender.ended.length, sender.zeroCopy.unsupported], [sends, undefined]);
      assert(sender.ended.some(([, copied]) => !copied));
    },
  },
  {
    name: "wait(POLLIN) and poll() take no record for an event",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      let events: number | undefined;
      here.wait(POLLIN).then((revents) => events = revents);
      const sender = new Sender(here);
      sender.send(bytes(PACKET));
      await there.receiveAll(PACKET);
      await settle(near, far);
      assertEquals(here.poll(POLLIN), 0);
      assertEquals([sender.ended, events], [[[PACKET, false]], undefined]);
      sender.send(bytes(PACKET));
      await there.receiveAll(PACKET);
      await sender.ends(2);
      assertEquals([here.poll(0) & POLLERR, here.takeError(), events], [0, 0, undefined]);
      await there.send(bytes(1));
      while (events === undefined) await setImmediate();
      assertEquals(events, POLLIN);
    },
  },
  {
    name: "waitSync() takes no record for an event, and ends the sends",
    needs: ["zeroCopySend", "waitSync"],
    async run(near, far) {
      const { here, there } = await pair(near, far);
      const sender = new Sender(here);
      sender.send(bytes(PACKET));
      await there.receiveAll(PACKET);
      await settle(near, far);
      assertEquals([here.waitSync(POLLIN, 60), sender.ended], [0, [[PACKET, false]]]);
    },
  },
  {
    name: "Conn.write() with zeroCopy hands back nothing early at an abort",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { conn, there } = await narrow(pair(near, far, buffers(262144, 2 * PACKET)));
      const data = bytes(LENGTH);
      const expected = data.slice(0, 2 * PACKET);
      const abort = new AbortController();
      const { writing, over } = lend(conn, data, abort.signal);
      abort.abort(new Error("enough"));
      await settle(near, far);
      assertEquals([over(), conn.bytesWritten], [false, 2 * PACKET]);
      const reading = there.receiveAll(2 * PACKET);
      const error = await writing.catch((error: Error) => error.message);
      data.fill(0);
      assertEquals([error, await reading], ["enough", expected]);
      assertEquals([conn.zeroCopy.sent, conn.zeroCopy.pending], [2 * PACKET, 0]);
      await conn.write(bytes(10));
      assertEquals(await there.receiveAll(10), bytes(10));
    },
  },
  {
    name: "close() hands back nothing early, and the peer gets all that was taken",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { conn, there } = await narrow(pair(near, far, buffers(262144, 2 * PACKET)));
      const data = bytes(LENGTH);
      const expected = data.slice(0, 2 * PACKET);
      const { writing, over } = lend(conn, data);
      conn.close();
      await settle(near, far);
      assert(!over());
      const reading = there.receiveToEnd();
      await rejects("EBADF", writing);
      data.fill(0);
      assertEquals(await reading, expected);
    },
  },
  {
    name: "unmapping what is under way changes nothing of what the peer gets",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { conn, there } = await narrow(pair(near, far));
      const expected = bytes(PACKET);
      let writing: Promise<number>;
      {
        using region = new MappedRegion(PACKET);
        const data = region.lend(0, PACKET);
        data.set(expected);
        writing = conn.write(data, { zeroCopy: true });
      }
      using other = new MappedRegion(PACKET * 16);
      other.lend(0, PACKET * 16).fill(255);
      assertEquals(await there.receiveAll(PACKET), expected);
      assertEquals([await writing, conn.zeroCopy.sent], [PACKET, PACKET]);
    },
  },
  {
    name: "zeroCopy sends end, and the next is EPIPE, when the peer closes without reading",
    needs: ["zeroCopySend"],
    async run(near, far) {
      const { conn, there } = await narrow(pair(near, far, buffers(262144, 2 * PACKET)));
      const { writing } = lend(conn, bytes(LENGTH));
      await settle(near, far);
      await there.close();
      await rejects("EPIPE", writing);
      assertEquals(conn.zeroCopy.pending, 0);
      await rejects("EPIPE", conn.write(bytes(PACKET), { zeroCopy: true }));
    },
  },
  ...(["stream", "seqpacket"] as const).map((type): Case => ({
    name: `Conn.write() with zeroCopy works everywhere, in order, and says what it did (${type})`,
    needs: type === "seqpacket" ? ["seqpacket"] : [],
    async run(near, far) {
      const { here, there } = await pair(near, far, { type });
      const conn = new Conn(here);
      const data = [1, 2, 3, 4].map((seed) => bytes(50_000, seed));
      const writing = Promise.all(data.map((part) => conn.write(part, { zeroCopy: true })));
      for (const part of data) assertEquals(await there.receiveAll(50_000), part);
      assertEquals(await writing, data.map(({ length }) => length));
      const { sent, copied, pending, unsupported } = conn.zeroCopy;
      assertEquals([sent + copied, pending], [200_000, 0]);
      assertEquals(unsupported === undefined, sent > 0);
    },
  })),
];
