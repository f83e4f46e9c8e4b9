import { Buffer } from "node:buffer";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import { openPair, pattern, readAll } from "../../helpers/pair.ts";
import { openTcpPair } from "../../helpers/tcp_pair.ts";

const LIMIT = { timeout: 60_000 };
const CARRIERS = [openPair, openTcpPair];

/** Its constructor knows nothing of buffers, as that of a key may not, nor has it a species. */
class Key extends Uint8Array {
  static size: number = 64;
  constructor() {
    super(Key.size);
  }
}

/** It has 64 bytes. */
class Liar extends Uint8Array {
  static says: number = 0;
  constructor() {
    super(64);
  }
  override get length(): number {
    return Liar.says;
  }
}

/** Sends until nothing more is taken: how many bytes. */
function fill({ socket }: Conn): number {
  const zeros = new Uint8Array(65_536);
  let sent = 0;
  for (let n = 0; n >= 0; n = socket.send(zeros, 0)) sent += n;
  return sent;
}

/** A buffer of `length` bytes that may have up to 2^22. */
function resizable(length: number): ArrayBuffer {
  return new ArrayBuffer(length, { maxByteLength: 1 << 22 });
}

test("Conn.write() sends the bytes of a subclass when it goes on too", LIMIT, async () => {
  Key.size = 64;
  for (const open of CARRIERS) {
    using pair = await open();
    const { near, far } = pair;
    const before = fill(near);
    const writing = near.write(new Key().fill(5));
    const got = await readAll(far, before + Key.size);
    assertEquals(await writing, Key.size);
    assertEquals(got.subarray(before), new Uint8Array(Key.size).fill(5));
  }
});

test("Conn.write() with zeroCopy sends the bytes of a subclass", LIMIT, async () => {
  Key.size = 1 << 22;
  using pair = await openTcpPair();
  const writing = pair.near.write(new Key().fill(5), { zeroCopy: true });
  const got = await readAll(pair.far, Key.size);
  assertEquals(await writing, Key.size);
  assert(got.every((byte) => byte === 5));
});

test("Conn.sendMessage() and receiveMessage() keep to the bytes of a subclass", async () => {
  Key.size = 100_000; // two packets
  using pair = await openPair("seqpacket");
  await pair.near.sendMessage(new Key().fill(5));
  const { data } = (await pair.far.receiveMessage())!;
  assertEquals(data, new Uint8Array(Key.size).fill(5));
  await pair.near.sendMessage(pattern(10));
  assertEquals((await pair.far.receiveMessage({ buffer: new Key() }))?.data, pattern(10));
  await pair.near.sendMessage(Buffer.from("hello"));
  assert(Buffer.isBuffer((await pair.far.receiveMessage({ buffer: Buffer.alloc(9) }))?.data));
});

test("Conn.write() sends no more than there was at first", LIMIT, async () => {
  for (const zeroCopy of [false, true]) {
    for (const open of CARRIERS) {
      using pair = await open();
      const { near, far } = pair;
      const before = fill(near);
      const buffer = resizable(100);
      const writing = near.write(new Uint8Array(buffer), { zeroCopy });
      buffer.resize(1 << 22);
      assertEquals((await readAll(far, before + 100)).length, before + 100);
      assertEquals(await writing, 100);
      assertEquals(near.bytesWritten, 100);
    }
  }
});

test("Conn.read() rejects where a resizable buffer has lost the bytes meanwhile", async () => {
  for (const open of CARRIERS) {
    using pair = await open();
    const { near, far } = pair;
    for (const [start, says] of [[0, "must keep 1 or more bytes"], [4, "past the end"]] as const) {
      const buffer = resizable(8);
      const p = start === 0 ? new Uint8Array(buffer) : new Uint8Array(buffer, start, 4);
      const reading = near.read(p);
      buffer.resize(0);
      const rejects = assertRejects(() => reading, TypeError, says);
      await far.write(pattern(3));
      await rejects;
      assertEquals(await near.read(new Uint8Array(8)), 3);
    }
  }
});

test("Conn.receiveMessage() loses no message where its buffer has lost the bytes", async () => {
  using pair = await openPair("seqpacket");
  const buffer = resizable(8);
  const receiving = pair.near.receiveMessage({ buffer: new Uint8Array(buffer) });
  buffer.resize(0);
  const rejects = assertRejects(() => receiving, TypeError, "must keep 1 or more bytes");
  await pair.far.sendMessage(pattern(3));
  await rejects;
  assertEquals((await pair.near.receiveMessage())?.data, pattern(3));
});

test("Conn refuses bytes that lie past the end of their buffer", async () => {
  using pair = await openPair();
  const buffer = resizable(8);
  const p = new Uint8Array(buffer, 4, 4);
  buffer.resize(6);
  const says = "must have its buffer: current value is bytes past the end of it";
  await assertRejects(() => pair.near.read(p), TypeError, says);
  await assertRejects(() => pair.near.write(p), TypeError, says);
  await assertRejects(() => pair.near.write(p, { zeroCopy: true }), TypeError, says);
});

test("Conn refuses bytes of which their class says that there are more, or fewer", async () => {
  for (const says of [4096, 3, 0]) {
    Liar.says = says;
    const text = `must have as many bytes as its length says: current value is 64, not ${says}`;
    for (const open of CARRIERS) {
      using pair = await open();
      const { near, far } = pair;
      await far.write(pattern(3));
      for (const options of [{}, { zeroCopy: true }]) {
        await assertRejects(() => near.write(new Liar(), options), TypeError, text);
      }
      await assertRejects(() => near.read(new Liar()), TypeError, text);
      assertEquals(await near.read(new Uint8Array(64)), 3);
    }
    using pair = await openPair("seqpacket");
    const { near, far } = pair;
    await assertRejects(() => near.sendMessage(new Liar()), TypeError, text);
    await far.sendMessage(pattern(3));
    await assertRejects(() => near.receiveMessage({ buffer: new Liar() }), TypeError, text);
    assertEquals((await near.receiveMessage())?.data, pattern(3));
  }
});

test("Conn reads its options before it looks at the bytes, and once", async () => {
  for (const open of CARRIERS) {
    using pair = await open();
    const thief = (p: Uint8Array<ArrayBuffer>) => ({
      get signal(): undefined {
        p.buffer.transfer();
        return undefined;
      },
    });
    await pair.far.write(pattern(3));
    const [from, into] = [pattern(8), pattern(8)];
    await assertRejects(() => pair.near.write(from, thief(from)), TypeError, "transferred away");
    await assertRejects(() => pair.near.read(into, thief(into)), TypeError, "transferred away");
  }
  using pair = await openPair("seqpacket");
  await pair.near.sendMessage(pattern(3));
  const buffers = [new Uint8Array(0), new Uint8Array(3)];
  const message = await pair.far.receiveMessage({
    get buffer(): Uint8Array | undefined {
      return buffers.pop();
    },
  });
  assertEquals(message?.data, pattern(3));
});

test("Conn refuses a Proxy of a Uint8Array, which has no bytes", async () => {
  const says = "must be a Uint8Array: current value is Object";
  const proxy = new Proxy(new Uint8Array(8), {});
  for (const open of CARRIERS) {
    using pair = await open();
    await pair.far.write(pattern(3));
    for (const options of [{}, { zeroCopy: true }]) {
      await assertRejects(() => pair.near.write(proxy, options), TypeError, says);
    }
    await assertRejects(() => pair.near.read(proxy), TypeError, says);
    assertEquals(await pair.near.read(new Uint8Array(8)), 3);
  }
});

test("Conn takes the Uint8Arrays of another realm", async () => {
  for (const open of CARRIERS) {
    using pair = await open();
    const p: Uint8Array = runInNewContext("new Uint8Array(3)");
    assertEquals(await pair.near.write(runInNewContext("Uint8Array.of(1, 2, 3)")), 3);
    assertEquals(await pair.far.read(p), 3);
    assertEquals([...p], [1, 2, 3]);
    structuredClone(p.buffer, { transfer: [p.buffer as ArrayBuffer] });
    await assertRejects(() => pair.far.read(p), TypeError, "transferred away");
  }
});

test("Conn.read() ends with EBADF where its own signal closes the connection", async () => {
  for (const open of CARRIERS) {
    using pair = await open();
    const { signal } = new AbortController();
    signal.addEventListener = (): void => pair.near.close();
    const error = await assertRejects(
      () => pair.near.read(new Uint8Array(8), { signal }),
      VsockError,
    );
    assertEquals(error.code, "EBADF");
  }
});

for (const type of ["stream", "seqpacket"] as const) {
  const name = `Conn.write() sends what p had at the call, though another thread makes it longer`;
  test(`${name}: ${type}`, LIMIT, async () => {
    using pair = await openPair(type);
    const { near, far } = pair;
    const buffer = new SharedArrayBuffer(8, { maxByteLength: 64 });
    const { socket } = near;
    const send = socket.send.bind(socket);
    socket.send = (data, flags) => {
      const sent = send(data, flags);
      buffer.grow(64);
      return sent;
    };
    assertEquals([await near.write(new Uint8Array(buffer)), near.bytesWritten], [8, 8]);
    await near.closeWrite();
    assertEquals((await readAll(far, 8)).length, 8);
    assertEquals(await far.read(new Uint8Array(64)), null);
  });
}
