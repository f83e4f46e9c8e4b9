import { createHash } from "node:crypto";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { USR_HDR_MAX, UsrHdrPage } from "../../../ffi/abi/virtio_vsock_usr.ts";
import { VIRTIO_VSOCK_OP_RW } from "../../../ffi/abi/virtio_vsock.ts";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback, createLoopbackLink, openLoopback } from "../../../src/loopback/mod.ts";
import type { SocketOptionValues } from "../../../src/options.ts";
import { openReceiver, type Receiver } from "../../../src/receive/receiver.ts";
import type { RxMapping, SocketType } from "../../../src/socket.ts";
import { pattern } from "./fake.ts";

const TIMEOUT = { timeout: 60_000 };

interface Ends extends Disposable {
  /** Sends. */
  readonly far: Conn;
  /** What `receiver` is of. */
  readonly near: Conn;
  readonly receiver: Receiver;
  readonly mapping: RxMapping;
  /** Where the payload of each packet lay when it was on its way. */
  readonly arrivals: Uint8Array[];
}

async function open(pages: number, type: SocketType = "stream"): Promise<Ends> {
  const arrivals: Uint8Array[] = [];
  const transport = createLoopback({
    tap: ({ op, payload }) => {
      if (op === VIRTIO_VSOCK_OP_RW) arrivals.push(payload!.bytes);
    },
  });
  const options: SocketOptionValues = { zeroCopyReceive: true, bufferSize: 1 << 20 };
  const address = { cid: 1, port: 5000 };
  using listener = listen(address, { transport, type, options });
  const near = await connect(address, { transport, type, options });
  const far = await listener.accept();
  let mapping: RxMapping | undefined;
  const mmap = near.socket.mmap.bind(near.socket);
  near.socket.mmap = (length, prot): RxMapping => mapping = mmap(length, prot);
  const receiver = openReceiver(near.socket, { mode: "map", pages });
  return {
    far,
    near,
    receiver,
    mapping: mapping!,
    arrivals,
    [Symbol.dispose](): void {
      receiver.close();
      near.close();
      far.close();
    },
  };
}

test("Receiver on the loopback gives the cover letter's example", TIMEOUT, async () => {
  using ends = await open(16);
  const sizes = [56, 4096, 8200];
  for (const [i, size] of sizes.entries()) await ends.far.write(pattern(size, i));
  using batch = await ends.receiver.receive();
  const page = new UsrHdrPage(ends.mapping.page0);
  assertEquals([page.hdrNum, batch!.pages, batch!.byteLength], [5, 5, 56 + 4096 + 8200]);
  assertEquals([0, 1, 2, 3].map((i) => page.headerLength(i)), [...sizes, 0]);
  assertEquals([...batch!].map(({ data }) => data), sizes.map((size, i) => pattern(size, i)));
});

test("Receiver on the loopback lends the buffer that was on its way", TIMEOUT, async () => {
  using ends = await open(16);
  await ends.far.write(pattern(10_000));
  using batch = await ends.receiver.receive();
  const [packet] = batch!;
  assertStrictEquals(packet!.data.buffer, ends.arrivals[0]!.buffer);
  const { data } = packet!;
  batch!.release();
  assertEquals(data.length, 0);
});

test("Receiver on the loopback takes 511 packets at once and no more", TIMEOUT, async () => {
  using ends = await open(600, "seqpacket");
  const message = pattern(1);
  for (let i = 0; i < 600; i++) await ends.far.sendMessage(message);
  const counts: number[] = [];
  while (counts.length < 2) {
    using batch = await ends.receiver.receive();
    counts.push(batch!.packetCount);
    assert([...batch!].every((packet) => packet.endOfMessage && packet.byteLength === 1));
  }
  assertEquals(counts, [USR_HDR_MAX, 600 - USR_HDR_MAX]);
});

test("Receiver on the loopback continues a message in the next batch", TIMEOUT, async () => {
  using ends = await open(4, "seqpacket");
  await ends.far.sendMessage(pattern(40_000), { endOfRecord: true });
  await ends.far.closeWrite();
  const got: number[] = [];
  const bounds: [endOfMessage: boolean, endOfRecord: boolean][] = [];
  for await (const batch of ends.receiver) {
    for (const { data, endOfMessage, endOfRecord } of batch) {
      got.push(...data);
      bounds.push([endOfMessage, endOfRecord]);
    }
  }
  assertEquals(got, [...pattern(40_000)]);
  assertEquals(bounds, [[false, false], [false, false], [true, true]]);
});

test(
  "Receiver on the loopback sees poll_value 0, 1, 0, ~0, and drains",
  TIMEOUT,
  async () => {
    using ends = await open(1);
    const page = new UsrHdrPage(ends.mapping.page0);
    assertEquals(page.pollValue, 0);
    await ends.far.write(pattern(10));
    assertEquals(await ends.near.socket.wait(POLLIN), POLLIN);
    assertEquals(page.pollValue, 1);
    ends.receiver.tryReceive()!.release();
    assertEquals(page.pollValue, 0);
    await ends.far.write(pattern(5000));
    ends.far.close();
    const first = await ends.receiver.receive();
    first!.release();
    assertEquals([first!.byteLength, page.pollValue], [4096, 0xffff_ffff]);
    const rest = await ends.receiver.receive();
    rest!.release();
    assertEquals(rest!.byteLength, 5000 - 4096);
    assertEquals(await ends.receiver.receive(), null);
  },
);

test("Receiver on the loopback lets it run while it is told to spin", TIMEOUT, async () => {
  using ends = await open(4);
  const pending = ends.receiver.receive({ wait: "spin" });
  await ends.far.write(pattern(10));
  using batch = await pending;
  assertEquals(batch!.byteLength, 10);
});

interface Transmitter {
  readonly rounds: number;
  readonly silenceMs?: number;
  readonly dies?: boolean;
}

/** A Worker connects and sends; `receive` gets the receiver in this thread. */
async function fromWorker(
  { rounds, silenceMs = 0, dies = false }: Transmitter,
  receive: (receiver: Receiver) => void,
): Promise<void> {
  const [end, farEnd] = createLoopbackLink({ deadAfterMs: 1_000 });
  using transport = openLoopback(end);
  const options = { zeroCopyReceive: true };
  using listener = listen({ cid: transport.localCid, port: 5000 }, { transport, options });
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    workerData: { end: farEnd, port: 5000, rounds, silenceMs, dies },
  });
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  using conn = await listener.accept();
  using receiver = conn.receiver({ mode: "map", pages: 32 });
  receive(receiver);
  await ended;
}

/** SHA-256 of what `receiver` gives by spinning, to the end. */
function spinToEnd(receiver: Receiver): string {
  const hash = createHash("sha256");
  for (;;) {
    using batch = receiver.receiveSync({ wait: "spin", timeoutMs: 50_000 });
    if (batch === null) return hash.digest("hex");
    for (const { data } of batch) hash.update(data);
  }
}

function expected(rounds: number): string {
  const hash = createHash("sha256");
  for (let round = 0; round < rounds; round++) hash.update(pattern(100_000, round));
  return hash.digest("hex");
}

test("Receiver.receiveSync() spins for what another thread sends", TIMEOUT, async () => {
  await fromWorker({ rounds: 50 }, (receiver) => {
    assertEquals(spinToEnd(receiver), expected(50));
  });
});

test("Receiver.receiveSync() is alive to its peer while it spins", TIMEOUT, async () => {
  await fromWorker({ rounds: 2, silenceMs: 2_500 }, (receiver) => {
    assertEquals(spinToEnd(receiver), expected(2));
  });
});

test("Receiver.receiveSync() notices a dead peer while it spins", TIMEOUT, async () => {
  await fromWorker({ rounds: 2, dies: true }, (receiver) => {
    let end: unknown;
    try {
      end = spinToEnd(receiver);
    } catch (error) {
      end = error;
    }
    assert(end instanceof VsockError, `ended with ${end}`);
    assertEquals(end.code, "ECONNRESET");
  });
});

test(
  "Receiver (copy) takes a message whole, however its buffer size was raised since",
  TIMEOUT,
  async () => {
    using ends = await open(1, "seqpacket");
    const { near, far } = ends;
    using receiver = near.receiver({ mode: "copy", bufferBytes: 1 << 20 });
    for (const { options } of [near, far]) {
      options.bufferMaxSize = 2 << 20;
      options.bufferSize = 2 << 20;
    }
    await far.write(Uint8Array.of(1)); // with which the news travels
    (await receiver.receive())!.release();
    await far.sendMessage(pattern(3 << 19));
    using batch = (await receiver.receive())!;
    assertEquals([...batch].map(({ data }) => data.length), [3 << 19]);
  },
);

test("Receiver.close() leaves to read() what no batch has given", TIMEOUT, async () => {
  const transport = createLoopback();
  const address = { cid: 1, port: 5000 };
  using listener = listen(address, { transport });
  using far = await connect(address, { transport });
  using near = await listener.accept();
  // Now and then a call waits for the next turn of the event loop.
  for (let round = 0; round < 256; round++) {
    await far.write(Uint8Array.of(round));
    const receiver = near.receiver({ mode: "copy" });
    const receiving = receiver.receive().then((batch) => batch, (error: VsockError) => error.code);
    for (let i = 0; i < 8; i++) await Promise.resolve();
    receiver.close();
    if (await receiving !== "EBADF") continue;
    const byte = new Uint8Array(1);
    assertEquals([await near.read(byte), byte[0]], [1, round]);
  }
});
