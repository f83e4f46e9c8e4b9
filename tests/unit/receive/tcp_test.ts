/** Receive by mapping over TCP, of this machine's kernel: what arrives is what was sent. */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { SO_LINGER, SOL_SOCKET } from "../../../ffi/abi/socket.ts";
import { MappedRegion, StolenViewError, TCP_ZEROCOPY_RECEIVE } from "../../../ffi/mod.ts";
import {
  type Conn,
  connect,
  listen,
  type Receiver,
  type SocketOptionValues,
  type TcpAddress,
  VsockError,
} from "../../../mod.ts";
import type { KernelSocket } from "../../../src/kernel/socket.ts";
import { openTcp } from "../../../src/kernel/tcp_unix.ts";
import { runChild, startChild } from "../../helpers/child.ts";
import { failOnce, FaultyLibc } from "../../helpers/faulty_libc.ts";
import { openSockets } from "../../helpers/open_sockets.ts";
import { sha256 } from "../../helpers/pair.ts";
import { openTcpPair, type TcpPair } from "../../helpers/tcp_pair.ts";

const [KIB, MIB] = [1024, 1024 * 1024];
const HOST = "127.0.0.1";
const SKIP = openTcp(HOST).capabilities.mapRx
  ? false
  : "this kernel does not map TCP: needs Linux 5.7 and 4 KiB pages";
const SLOW = { skip: SKIP, timeout: 120_000 } as const;
/** Each segment is a page. */
const PAGES: SocketOptionValues = { maxSegment: 4096 + 12 };

function openPair(options: SocketOptionValues = PAGES, hostname = HOST): Promise<TcpPair> {
  return openTcpPair(hostname, options);
}

/** Pages of their own, all different, so that the kernel can lend them. */
function lentPages(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new MappedRegion(length).lend(0, length);
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 2654435761);
  return bytes;
}

interface Taken {
  readonly hash: Hash;
  bytes: number;
  mapped: number;
}

/** Takes everything that comes, in batches of `most` pages at most. */
async function takeAll(receiver: Receiver, most = Infinity): Promise<Taken> {
  const taken: Taken = { hash: createHash("sha256"), bytes: 0, mapped: 0 };
  for await (const batch of receiver) {
    let bytes = 0;
    for (const { data, byteLength } of batch) {
      assertEquals(data.length, byteLength);
      taken.hash.update(data);
      bytes += data.length;
    }
    assertEquals([bytes, batch.volatile], [batch.byteLength, false]);
    assert(batch.pages <= most, `${batch.pages} pages in one batch`);
    assertEquals(batch.mapped, batch.mappedBytes > 0);
    taken.bytes += bytes;
    taken.mapped += batch.mappedBytes;
  }
  return taken;
}

function mappings(): number {
  return readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) =>
    /socket:\[/.test(line)
  )
    .length;
}

test("TcpSource maps what a lending sender sends, and loses nothing", SLOW, async (t) => {
  using pair = await openPair({ ...PAGES, rcvlowat: 64 * KIB });
  const data = lentPages(16 * MIB);
  const sent = pair.near.write(data, { zeroCopy: true }).then(() => pair.near.closeWrite());
  const receiver = pair.far.receiver({ mode: "map", bufferBytes: 512 * KIB });
  const { hash, bytes, mapped } = await takeAll(receiver);
  await sent;
  assertEquals([bytes, hash.digest("hex")], [data.length, sha256(data)]);
  t.diagnostic(`${(mapped / bytes * 100).toFixed(2)} % mapped`);
  assert(mapped > bytes / 2, `${mapped} of ${bytes} bytes were mapped`);
});

test("TcpSource copies what a copying sender sends, and says so", SLOW, async () => {
  using pair = await openPair({});
  const data = lentPages(4 * MIB);
  const sent = pair.near.write(data).then(() => pair.near.closeWrite());
  const { hash, bytes, mapped } = await takeAll(pair.far.receiver({ mode: "map" }));
  await sent;
  assertEquals([bytes, hash.digest("hex")], [data.length, sha256(data)]);
  assert(mapped < bytes / 2, `${mapped} bytes were mapped`);
});

test("TcpSource gives headers, pages and tails in order", SLOW, async () => {
  using pair = await openPair({ ...PAGES, noDelay: true });
  const pages = lentPages(256 * KIB);
  const wanted = createHash("sha256");
  const sent = (async (): Promise<void> => {
    for (let round = 0; round < 64; round++) {
      const header = new Uint8Array(1 + round * 7).fill(round);
      const body = pages.subarray(0, (round % 16 + 1) * 4096 + round);
      for (const part of [header, body]) {
        wanted.update(part);
        await pair.near.write(part, { zeroCopy: part === body });
      }
    }
    await pair.near.closeWrite();
  })();
  const { hash } = await takeAll(pair.far.receiver({ mode: "map", pages: 32 }));
  await sent;
  assertEquals(hash.digest("hex"), wanted.digest("hex"));
});

test("TcpSource puts as many packets into a batch as there are headers", SLOW, async () => {
  using pair = await openPair({ ...PAGES, noDelay: true });
  const page = lentPages(4 * KIB);
  const rounds = 300;
  pair.far.options.rcvlowat = rounds * 4098; // which makes room for all of them
  const sent = (async (): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      await pair.near.write(page, { zeroCopy: true });
      await pair.near.write(Uint8Array.of(round, round >> 8));
    }
    await pair.near.closeWrite();
  })();
  using receiver = pair.far.receiver({ mode: "map", pages: 2 * rounds });
  const [counts, got]: [number[], Uint8Array[]] = [[], []];
  for await (const batch of receiver) {
    counts.push(batch.packetCount);
    for (const { data } of batch) got.push(data.slice());
  }
  await sent;
  const all = new Uint8Array(await new Blob(got as BlobPart[]).arrayBuffer());
  assertEquals([all.length, counts[0]! > 500], [rounds * 4098, true], `${counts}`);
  for (let round = 0; round < rounds; round++) {
    const [start, end] = [round * 4098, round * 4098 + 4096];
    assertEquals(sha256(all.subarray(start, end)), sha256(page));
    assertEquals(all.subarray(end, end + 2), Uint8Array.of(round, round >> 8));
  }
});

for (const pages of [1, 2, 3]) {
  test(`TcpSource works in ${pages} pages, less than a segment has`, SLOW, async () => {
    using pair = await openPair({});
    const data = lentPages(512 * KIB).subarray(0, 500_001);
    const sent = pair.near.write(data, { zeroCopy: true }).then(() => pair.near.closeWrite());
    const { hash } = await takeAll(pair.far.receiver({ mode: "map", pages }), pages);
    await sent;
    assertEquals(hash.digest("hex"), sha256(data));
  });
}

test("TcpSource works through a small window", SLOW, async () => {
  using pair = await openPair({ ...PAGES, receiveBufferSize: 4 * KIB, sendBufferSize: 4 * KIB });
  const data = lentPages(256 * KIB);
  const sent = pair.near.write(data, { zeroCopy: true }).then(() => pair.near.closeWrite());
  const { hash } = await takeAll(pair.far.receiver({ mode: "map", bufferBytes: 64 * KIB }));
  await sent;
  assertEquals(hash.digest("hex"), sha256(data));
});

test("TcpSource takes in one batch all that SO_RCVLOWAT waits for", SLOW, async () => {
  using pair = await openPair({ ...PAGES, rcvlowat: 40_000, noDelay: true });
  using receiver = pair.far.receiver({ mode: "map", bufferBytes: 512 * KIB });
  const pages = lentPages(32 * KIB);
  for (let round = 0; round < 8; round++) {
    await pair.near.write(new Uint8Array(5).fill(1));
    await pair.near.write(pages, { zeroCopy: true });
    await pair.near.write(new Uint8Array(40_000 - 32 * KIB - 5).fill(2));
    using batch = await receiver.receive();
    assertEquals(batch?.byteLength, 40_000);
  }
});

test("TcpSource kills its views at the release, copies too", SLOW, async () => {
  using pair = await openPair();
  const data = lentPages(64 * KIB);
  const sent = pair.near.write(data, { zeroCopy: true });
  await pair.near.write(Uint8Array.of(1, 2, 3)).catch(() => {});
  using receiver = pair.far.receiver({ mode: "map" });
  const views: Uint8Array[] = [];
  for (let bytes = 0; bytes < data.length;) {
    const batch = await receiver.receive();
    assert(batch !== null);
    for (const packet of batch) views.push(packet.data);
    bytes += batch.byteLength;
    batch.release();
    assertThrows(() => batch.release(), TypeError);
  }
  await sent;
  assertEquals(views.map(({ length }) => length), views.map(() => 0));
});

/** KiB of sockets' pages that this process has mapped. */
function mappedKib(): number {
  const maps = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const sizes = maps.filter((map) => map.includes("socket:[")).map((map) =>
    Number(/^Rss: +(\d+) kB/m.exec(map)?.[1])
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

test("TcpSource gives pages back at the release, or by the next dequeue", SLOW, async (t) => {
  using pair = await openPair({ ...PAGES, rcvlowat: 192 * KIB });
  const data = lentPages(192 * KIB);
  const sent = pair.near.write(data, { zeroCopy: true });
  using receiver = pair.far.receiver({ mode: "map", bufferBytes: 128 * KIB });
  const first = await receiver.receive({ timeoutMs: 60_000 });
  await sent;
  if (first?.mappedBytes !== 128 * KIB) {
    return t.skip("some was copied: TCP does that short of memory; run it again");
  }
  const [view] = Array.from(first, (packet) => packet.data);
  assertEquals(mappedKib(), 128);
  first.release();
  assertEquals([view?.length, mappedKib()], [0, 128]);
  const second = receiver.tryReceive();
  const [rest] = Array.from(second!, (packet) => packet.data);
  assertEquals([rest?.length, mappedKib()], [64 * KIB, 128]); // half of it not to be seen any more
  assertEquals(sha256(rest!), sha256(data.subarray(128 * KIB)));
  second!.release();
  assertEquals([rest?.length, mappedKib()], [0, 0]);
  const third = pair.near.write(data, { zeroCopy: true });
  (await receiver.receive({ timeoutMs: 60_000 }))?.release();
  await third;
  assertEquals(mappedKib(), 128);
  receiver.tryReceive()?.release();
  assertEquals([receiver.tryReceive(), mappedKib()], [undefined, 0]);
});

/** close(2) with a linger time of 0 is a reset. */
function reset(conn: Conn<TcpAddress>): void {
  conn.socket.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array(Int32Array.of(1, 0).buffer));
  conn.close();
}

test("TcpSource keeps mapped pages good through a reset, then throws it", SLOW, async () => {
  using pair = await openPair();
  const data = lentPages(64 * KIB);
  const sent = pair.near.write(data, { zeroCopy: true });
  using receiver = pair.far.receiver({ mode: "map", bufferBytes: 128 * KIB });
  using batch = await receiver.receive();
  assert(batch !== null);
  await sent;
  reset(pair.near);
  const got = Array.from(batch, (packet) => packet.data);
  assertEquals(sha256(Buffer.concat(got)), sha256(data.subarray(0, batch.byteLength)));
  batch.release();
  await assertRejects(
    async () => {
      for (;;) {
        using next = await receiver.receive({ timeoutMs: 10_000 });
        assert(next !== null, "a reset is no clean end");
      }
    },
    VsockError,
    "ECONNRESET",
  );
  assertThrows(() => receiver.tryReceive(), VsockError, "ECONNRESET");
});

for (const more of [false, true]) {
  test(
    `TcpSource copies after a view was stolen, ${more ? "more" : "nothing"} queued`,
    SLOW,
    () => copiesAfterTheft(more),
  );
}

async function copiesAfterTheft(more: boolean): Promise<void> {
  using pair = await openPair();
  const data = lentPages(64 * KIB);
  const sent = pair.near.write(data, { zeroCopy: true });
  using receiver = pair.far.receiver({ mode: "map", ...(more ? { pages: 1 } : {}) });
  const batch = await receiver.receive();
  const [packet] = batch ?? [];
  assert(batch?.mapped && packet !== undefined);
  const stolen = structuredClone(packet.data, { transfer: [packet.data.buffer as ArrayBuffer] });
  const { byteLength } = batch;
  assertThrows(() => batch.release(), StolenViewError);
  assertEquals(stolen[stolen.length - 1], 0); // an empty page, and no signal
  for (let bytes = byteLength; bytes < data.length;) {
    using next = await receiver.receive();
    bytes += next!.byteLength;
  }
  await sent;
  await pair.near.write(data.subarray(0, 8 * KIB));
  using copied = await receiver.receive();
  assertEquals([copied?.mapped, copied?.mappedBytes], [false, 0]);
  copied?.release();
  for (let next = receiver.tryReceive(); next; next = receiver.tryReceive()) next.release();
}

test("1000 connections have a mapping each, and leave nothing behind", SLOW, async () => {
  await openPair().then((pair) => pair[Symbol.dispose]()); // what is made once
  const before = [openSockets(), mappings()];
  const page = lentPages(8 * KIB);
  using listener = listen({ hostname: HOST, port: 0 }, { options: PAGES, backlog: 1000 });
  const ends: Conn<TcpAddress>[] = [];
  for (let count = 0; count < 1000; count++) {
    const near = await connect({ hostname: HOST, port: listener.addr.port }, { options: PAGES });
    const far = await listener.accept();
    ends.push(near, far);
    const sent = near.write(page, { zeroCopy: true }).then(() => near.closeWrite());
    const { hash } = await takeAll(far.receiver({ mode: "map" }));
    await sent;
    assertEquals(hash.digest("hex"), sha256(page));
  }
  assertEquals(mappings() - before[1]!, 1000);
  for (const conn of ends) conn.close();
  listener.close();
  assertEquals([openSockets(), mappings()], before);
});

test("TcpSource works over IPv6, and as mode auto", SLOW, async (t: TestContext) => {
  const pair = await openPair(PAGES, "::1").catch((error) => {
    if (!(error instanceof VsockError)) throw error;
    t.skip(`no IPv6 here: ${error.message}: sysctl net.ipv6.conf.lo.disable_ipv6=0`);
  });
  if (pair === undefined) return;
  using _pair = pair;
  const data = lentPages(2 * MIB);
  const sent = pair.near.write(data, { zeroCopy: true }).then(() => pair.near.closeWrite());
  const { hash } = await takeAll(pair.far.receiver({ mode: "auto" }));
  await sent;
  assertEquals(hash.digest("hex"), sha256(data));
});

test(
  "a view of a mapping is safe to touch after its release, whatever is tried",
  SLOW,
  async () => {
    const { mapped, touches } = JSON.parse(
      await runChild(new URL("./tcp_child.ts", import.meta.url), ["touch"]),
    );
    assert(mapped > 0, "nothing was mapped");
    for (const outcomes of touches) {
      for (const outcome of outcomes) {
        assertMatch(
          outcome,
          /^(0|undefined|TypeError|DataCloneError)$/,
        );
      }
    }
  },
);

test("TcpSource gives what a sender had sent that is killed, then its end", SLOW, async () => {
  using listener = listen({ hostname: HOST, port: 0 }, { options: PAGES });
  const child = startChild(new URL("./tcp_child.ts", import.meta.url), [
    "send",
    String(listener.addr.port),
  ]);
  using far = await listener.accept();
  using receiver = far.receiver({ mode: "map", bufferBytes: 64 * KIB });
  let [bytes, killed] = [0, false];
  try {
    for await (const batch of receiver) {
      for (const { data } of batch) assert(data.every((byte) => byte === 7), "bytes are damaged");
      bytes += batch.byteLength;
      if (bytes > MIB && !killed) killed = child.kill("SIGKILL");
    }
  } catch (error) {
    assert(error instanceof VsockError && error.code === "ECONNRESET", String(error));
  }
  assert(killed && bytes > MIB);
});

test("KernelSocket.close() tells the peer at once, though the socket is mapped", SLOW, async () => {
  using pair = await openPair();
  using _region = (pair.far.socket as KernelSocket<TcpAddress>).mapPages(4 * KIB);
  pair.far.socket.close();
  assertEquals(await pair.near.read(new Uint8Array(1)), null);
});

test("Receiver maps nothing of TCP where it cannot be told SO_RCVLOWAT", async () => {
  using pair = await openTcpPair(HOST);
  using refused = failOnce("getsockopt", "EINVAL");
  assertThrows(() => pair.far.receiver({ mode: "auto" }), VsockError, "EINVAL");
  assertEquals([...refused.mapped], []);
});

for (const mode of ["copy", "map", "auto"] as const) {
  test(`Receiver goes on after a call that lacked memory: ${mode}`, async () => {
    using pair = await openTcpPair(HOST);
    using receiver = pair.far.receiver({ mode });
    await pair.near.write(Uint8Array.of(1, 2, 3));
    let calls = 0;
    {
      using _full = new FaultyLibc((name, args) => {
        const takes = name === "recv" || name === "getsockopt" && args[2] === TCP_ZEROCOPY_RECEIVE;
        return takes && ++calls === 1 ? "ENOMEM" : undefined;
      });
      await assertRejects(() => receiver.receive(), VsockError, "ENOMEM");
    }
    using batch = await receiver.receive();
    assertEquals(Array.from(batch!, ({ data }) => [...data]), [[1, 2, 3]]);
  });
}
