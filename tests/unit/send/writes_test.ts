import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { SysError } from "../../../ffi/errno.ts";
import { endError } from "../../../src/conn/recv.ts";
import { ZeroCopyWrites } from "../../../src/send/writes.ts";
import { type Socket, WOULD_BLOCK, type ZeroCopySend } from "../../../src/socket.ts";
import { turn } from "../../../src/wait/turns.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";

const LIMIT = { timeout: 60_000 };
const PEER = { cid: 1, port: 1025 };

/** Takes as many bytes as a test has room for, and is done with them when the test says so. */
class FakeSender implements ZeroCopySend {
  readonly unsupported = undefined;
  readonly full = false;
  readonly taken: number[] = [];
  readonly loans: { readonly bytes: number; done(bytes: number, copied: boolean): void }[] = [];
  readonly #waiters: (() => void)[] = [];
  #room = 0;

  send(data: Uint8Array, done: (bytes: number, copied: boolean) => void): number {
    const bytes = Math.min(this.#room, data.length);
    if (bytes === 0) return WOULD_BLOCK;
    this.#room -= bytes;
    this.taken.push(...data.subarray(0, bytes));
    this.loans.push({ bytes, done });
    return bytes;
  }

  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      this.#waiters.push(resolve);
    });
  }

  /** Makes room, and wakes who waits: the last one first. */
  async give(bytes: number): Promise<void> {
    this.#room += bytes;
    for (const resolve of this.#waiters.splice(0).reverse()) resolve();
    await turn();
  }

  reap(): number {
    return 0;
  }

  watch(): void {}
}

function writesOf(socket: Socket, onTaken: (bytes: number) => void = () => {}): ZeroCopyWrites {
  return new ZeroCopyWrites(socket, PEER, onTaken);
}

test(
  "ZeroCopyWrites.write() sends one after the other, whatever becomes of one",
  LIMIT,
  async () => {
    const sender = new FakeSender();
    const parts: number[] = [];
    const writes = writesOf(
      fakeSocket({ zeroCopy: sender, poll: () => 0 }),
      (bytes) => parts.push(bytes),
    );
    const stop = new AbortController();
    const first = writes.write(Uint8Array.of(1, 1, 1, 1), {});
    const second = writes.write(Uint8Array.of(2, 2), { signal: stop.signal });
    const third = writes.write(Uint8Array.of(3), {});
    stop.abort(new RangeError("enough"));
    await assertRejects(() => second, RangeError, "enough");
    let rested = false;
    writes.rest?.then(() => rested = true);
    for (const room of [1, 2, 1]) await sender.give(room);
    assertEquals([sender.taken, rested, writes.going], [[1, 1, 1, 1], false, true]);
    await sender.give(1);
    assertEquals([sender.taken, rested, writes.going], [[1, 1, 1, 1, 3], true, false]);
    assertEquals([parts, writes.rest, writes.pending], [[1, 2, 1, 1], undefined, 5]);
    for (const [index, { bytes, done }] of sender.loans.entries()) done(bytes, index === 1);
    assertEquals(await Promise.all([first, third]), [4, 1]);
    assertEquals([writes.sent, writes.copied, writes.pending], [3, 2, 0]);
  },
);

test("ZeroCopyWrites.write() sends as many bytes as there were, or tells that some are gone", async () => {
  for (const later of [1, 8]) {
    const sender = new FakeSender();
    const writes = writesOf(fakeSocket({ zeroCopy: sender, poll: () => 0 }));
    const buffer = new ArrayBuffer(3, { maxByteLength: 8 });
    await sender.give(1);
    const writing = writes.write(new Uint8Array(buffer), {});
    buffer.resize(later);
    const settled = writing.catch((error) => error.code);
    await sender.give(8);
    for (const { bytes, done } of sender.loans) done(bytes, false);
    assertEquals([await settled, sender.taken.length], later < 3 ? ["EFAULT", 1] : [3, 3]);
  }
});

test("ZeroCopyWrites.write() keeps the error of its end for who reads", LIMIT, async () => {
  const sender = new FakeSender();
  sender.send = (): never => {
    throw new SysError("send", "ECONNRESET");
  };
  const socket = fakeSocket({ zeroCopy: sender });
  await assertRejects(() => writesOf(socket).write(Uint8Array.of(1), {}), SysError, "ECONNRESET");
  assertEquals(endError(socket), 104);
});

test(
  "ZeroCopyWrites copies, and says why, where its socket has no MSG_ZEROCOPY",
  LIMIT,
  async () => {
    const flags: number[] = [];
    let room = 2;
    const socket = fakeSocket({
      poll: () => 0,
      send(data, given): number {
        flags.push(given);
        const bytes = Math.min(room, data.length);
        room -= bytes;
        return bytes === 0 ? WOULD_BLOCK : bytes;
      },
      wait: (events) => Promise.resolve((room = 2, events)),
    });
    const writes = writesOf(socket);
    assertEquals(await writes.write(new Uint8Array(5), {}), 5);
    assertEquals([writes.sent, writes.copied, writes.pending], [0, 5, 0]);
    assertEquals(new Set(flags), new Set([0]));
    assertEquals(writes.unsupported?.includes("there is no MSG_ZEROCOPY"), true);
    const { unsupported } = writesOf(fakeSocket({}, "seqpacket"));
    assertEquals(unsupported?.includes("messages are copied"), true);
  },
);
