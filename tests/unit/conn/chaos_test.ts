import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { assertEquals, assertRejects } from "@std/assert";
import { POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { connect } from "../../../src/connect.ts";
import type { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import type { SocketType } from "../../../src/socket.ts";
import type { Transport } from "../../../src/transport.ts";

const SEEDS: readonly number[] = [1, 2, 3, 4, 5, 6];
const MESSAGES = 40;

/** A loopback that shuffles and cuts short; every other one is late too. */
function troubled(seed: number): Transport {
  const faults = { shortReads: 0.3, shortWrites: 0.3 };
  return createLoopback({ seed, delayMs: seed % 2 === 0 ? 0.2 : 0, faults });
}

async function openPair(
  transport: Transport,
  type: SocketType,
  bufferSize: number,
): Promise<[Conn, Conn]> {
  const options = { bufferSize };
  using listener = listen({ cid: 1, port: 4000 }, { transport, type, options });
  const connecting = connect({ cid: 1, port: 4000 }, { transport, type, options });
  const far = await listener.accept();
  return [await connecting, far];
}

function bytes(length: number, salt: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + salt) % 253);
}

/** Writes in pieces of changing length, then ends. */
async function writePieces(conn: Conn, data: Uint8Array, seed: number): Promise<void> {
  for (let at = 0, length = 1; at < data.length; at += length) {
    length = Math.min(data.length - at, 1 + (at * 13 + seed) % 9000);
    await conn.write(data.subarray(at, at + length));
  }
  await conn.closeWrite();
}

for (const seed of SEEDS) {
  test(
    `Conn.readable and writable echo every byte, seed ${seed}`,
    { timeout: 60_000 },
    async () => {
      const [near, far] = await openPair(troubled(seed), "stream", 65_536 << (seed % 3));
      using _near = near;
      using _far = far;
      const data = bytes(150_000 + seed, seed);
      const echo = far.readable.pipeTo(far.writable);
      const writing = writePieces(near, data, seed);
      const back = await new Response(near.readable as ReadableStream<BufferSource>).arrayBuffer();
      await Promise.all([echo, writing]);
      assertEquals(new Uint8Array(back), data);
      assertEquals([near.bytesRead, far.bytesWritten], [data.length, data.length]);
    },
  );

  test(`Conn.receiveMessage() keeps bounds and order, seed ${seed}`, {
    timeout: 60_000,
  }, async () => {
    const bufferSize = 4096 << (seed % 4);
    const [near, far] = await openPair(troubled(seed), "seqpacket", bufferSize);
    using _near = near;
    using _far = far;
    const lengths = Array.from({ length: MESSAGES }, (_, i) => 1 + (i * 997 * seed) % bufferSize);
    const sending = (async () => {
      for (const [i, length] of lengths.entries()) {
        await near.sendMessage(bytes(length, i), { endOfRecord: i % 3 === 0 });
      }
      await near.closeWrite();
    })();
    for (const [i, length] of lengths.entries()) {
      const message = await far.receiveMessage();
      const endOfRecord = i % 3 === 0;
      assertEquals(message, { data: bytes(length, i), length, truncated: false, endOfRecord });
    }
    assertEquals(await far.receiveMessage(), null);
    await sending;
  });
}

test("Conn.read() gives nothing from behind a packet that found no room", {
  timeout: 60_000,
}, async () => {
  const transport = createLoopback({ seed: 1, delayMs: 30 });
  const [near, far] = await openPair(transport, "stream", 262_144);
  using _near = near;
  using _far = far;
  for (const length of [40_000, 65_536, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000]) {
    await far.write(new Uint8Array(length));
  }
  near.options.bufferSize = 65_536; // though more than that is under way
  await near.socket.wait(POLLRDHUP);
  await near.closeWrite().catch(() => {}); // the connection is over
  await pause(200);
  const p = new Uint8Array(200_000);
  let total = 0;
  const all = async (): Promise<void> => {
    for (let n = await near.read(p); n !== null; n = await near.read(p)) total += n;
  };
  const error = await assertRejects(all, VsockError);
  assertEquals([total, error.code], [40_000, "ENOBUFS"]);
});
