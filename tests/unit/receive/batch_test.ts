import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { SysError } from "../../../ffi/errno.ts";
import { VsockError } from "../../../src/error.ts";
import type { Batch, Packet } from "../../../src/receive/batch.ts";
import { openReceiver } from "../../../src/receive/receiver.ts";
import { openPair } from "../../helpers/pair.ts";
import { EOM, EOM_EOR, FakeSocket, pattern } from "./fake.ts";

/** Both ways to fill a batch promise the same about its life. */
const MODES = ["map", "copy"] as const;

function take(socket: FakeSocket, mode: "map" | "copy"): Batch {
  const batch = openReceiver(socket, { mode }).tryReceive();
  assert(batch);
  return batch;
}

function only(batch: Batch): Packet {
  const [packet, ...others] = batch;
  assert(packet !== undefined && others.length === 0);
  return packet;
}

for (const mode of MODES) {
  test(`Batch (${mode}) describes what it holds`, () => {
    const socket = new FakeSocket({ type: "seqpacket" });
    socket.arrive(pattern(8200), EOM_EOR);
    const batch = take(socket, mode);
    assertEquals([batch.byteLength, batch.pages, batch.packetCount], [8200, 3, 1]);
    assertEquals([batch.mapped, batch.volatile, batch.released], [mode === "map", false, false]);
    const packet = only(batch);
    assertEquals([packet.byteLength, packet.flags], [8200, 3]);
    assertEquals([packet.endOfMessage, packet.endOfRecord], [true, true]);
    assertEquals(packet.data, pattern(8200));
    assertStrictEquals(packet.data, only(batch).data);
  });

  test(`Batch (${mode}) kills its views when released`, () => {
    const socket = new FakeSocket();
    socket.arrive(pattern(100));
    const batch = take(socket, mode);
    const { data } = only(batch);
    assertEquals(data.length, 100);
    batch.release();
    assertEquals([data.length, data[0], batch.released], [0, undefined, true]);
  });

  test(`Batch (${mode}) lends nothing after its release`, () => {
    const socket = new FakeSocket();
    socket.arrive(pattern(100));
    const batch = take(socket, mode);
    const [read, unread] = [only(batch), only(batch)];
    assertEquals(read.data.length, 100);
    batch.release();
    assertThrows(() => read.data, TypeError, "Cannot read packet data: must be held");
    assertThrows(() => unread.data, TypeError, "Cannot read packet data: must be held");
    assertThrows(() => [...batch], TypeError, "Cannot read batch: must be held");
  });

  test(`Batch (${mode}) is released once by release(), any number of times by using`, () => {
    const socket = new FakeSocket();
    socket.arrive(pattern(100));
    using batch = take(socket, mode);
    batch.release();
    assertThrows(() => batch.release(), TypeError, "Cannot release batch: must be held");
    batch[Symbol.dispose]();
  });

  test(`Batch (${mode}) of before stays dead when the memory is used again`, () => {
    const socket = new FakeSocket();
    using receiver = openReceiver(socket, { mode });
    socket.arrive(pattern(100, 1));
    const first = receiver.tryReceive()!;
    const packet = only(first);
    const { data } = packet;
    first.release();
    socket.arrive(pattern(100, 2));
    using second = receiver.tryReceive()!;
    assertEquals(only(second).data, pattern(100, 2));
    assertEquals(data.length, 0);
    assertThrows(() => packet.data, TypeError);
    assertThrows(() => first.release(), TypeError);
    assertFalse(second.released);
  });
}

test("Batch (map) lends the very buffer that the packet arrived in, and nothing before", () => {
  const socket = new FakeSocket();
  const buffer = socket.arrive(pattern(5000));
  using batch = take(socket, "map");
  const packet = only(batch);
  assertEquals(socket.mapping!.lent, []);
  assertStrictEquals(packet.data.buffer, buffer);
  assertEquals(socket.mapping!.lent, [[0, 5000]]);
});

test("Packet.data says what its carrier says of bytes that are gone", () => {
  const socket = new FakeSocket();
  socket.arrive(pattern(1));
  using batch = take(socket, "map");
  socket.mapping!.lend = (): never => {
    throw new SysError("recv", "EFAULT");
  };
  assertEquals(assertThrows(() => only(batch).data, VsockError).code, "EFAULT");
});

test("Conn.read() says why bytes are gone that lay behind a view transferred away", async () => {
  using pair = await openPair("stream", { zeroCopyReceive: true });
  await pair.near.write(pattern(8192));
  using receiver = pair.far.receiver({ mode: "map", pages: 1 });
  const batch = await receiver.receive();
  (only(batch!).data.buffer as ArrayBuffer).transfer();
  batch!.release();
  const { hint } = await assertRejects(
    () => pair.far.read(new Uint8Array(1)),
    VsockError,
    "EFAULT",
  );
  assertMatch(hint!, /^the buffer of a view was transferred away/);
});

test("Batch (map) gives its pages back once", () => {
  const socket = new FakeSocket();
  socket.arrive(pattern(1));
  const batch = take(socket, "map");
  batch.release();
  batch[Symbol.dispose]();
  assertEquals(socket.mapping!.advised, 1);
});

test("Batch (map) iterated past its release throws at the next packet", () => {
  const socket = new FakeSocket();
  socket.arrive(pattern(1));
  socket.arrive(pattern(1));
  const batch = take(socket, "map");
  assertThrows(
    () => {
      for (const _ of batch) batch.release();
    },
    TypeError,
    "Cannot read batch: must be held",
  );
});

test("Batch (map) continues a packet in the next one, with EOM on the last piece", () => {
  const socket = new FakeSocket({ type: "seqpacket" });
  using receiver = openReceiver(socket, { mode: "map", pages: 2 });
  socket.arrive(pattern(10_000), EOM_EOR);
  socket.arrive(pattern(10), EOM);
  const pieces: [bytes: number[], endOfMessage: boolean, endOfRecord: boolean][] = [];
  for (let batch = receiver.tryReceive(); batch; batch = receiver.tryReceive()) {
    for (const { data, endOfMessage, endOfRecord } of batch) {
      pieces.push([[...data], endOfMessage, endOfRecord]);
    }
    batch.release();
  }
  const whole = [...pattern(10_000)];
  assertEquals(pieces, [
    [whole.slice(0, 8192), false, false],
    [whole.slice(8192), true, true],
    [[...pattern(10)], true, false],
  ]);
});

test("Batch (map) of a stream has no flags, whatever the peer sets", () => {
  const socket = new FakeSocket();
  socket.arrive(pattern(10), 0xffff_ffff);
  using batch = take(socket, "map");
  const packet = only(batch);
  assertEquals([packet.flags, packet.endOfMessage, packet.endOfRecord], [0, false, false]);
});

test("Packet.endOfRecord is false without the end of a message", () => {
  const socket = new FakeSocket({ type: "seqpacket" });
  socket.arrive(pattern(10), 2);
  using batch = take(socket, "map");
  assertEquals([only(batch).flags, only(batch).endOfRecord], [2, false]);
});

test("Batch (copy) survives a user who transfers its buffer away", () => {
  const socket = new FakeSocket();
  using receiver = openReceiver(socket, { mode: "copy", pages: 1 });
  socket.arrive(pattern(10, 1));
  const batch = receiver.tryReceive()!;
  const taken = structuredClone(only(batch).data, { transfer: [only(batch).data.buffer] });
  batch.release();
  assertEquals(taken, pattern(10, 1));
  socket.arrive(pattern(10, 2));
  using next = receiver.tryReceive()!;
  assertEquals(only(next).data, pattern(10, 2));
});

test("Batch (copy) holds a message whole, however long it is", () => {
  const socket = new FakeSocket({ type: "seqpacket", bufferSize: 1 << 20 });
  using receiver = openReceiver(socket, { mode: "copy", pages: 1 });
  socket.arrive(pattern(9000), EOM);
  using batch = receiver.tryReceive()!;
  assertEquals(only(batch).data, pattern(9000));
  assertEquals(batch.pages, 3);
});
