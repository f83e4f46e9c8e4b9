/** What `vsockit cat` relays from its standard input. */
import process from "node:process";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { ERRNO, SysError, WOULD_BLOCK } from "../../../ffi/errno.ts";
import type { Address } from "../../../src/address.ts";
import type { Pipes } from "../../../src/cli/cat/pipes.ts";
import { relay } from "../../../src/cli/cat/relay.ts";
import { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";

const WAIT = { timeout: 60_000 };
const CHUNKS = 300_000;

/** Pipes of which only what comes in matters. */
function pipesOf(
  read: () => AsyncIterable<Uint8Array>,
  write: (bytes: Uint8Array) => void = (): void => {},
): Pipes {
  return {
    quiet: false,
    read,
    write: (bytes) => Promise.resolve(write(bytes)),
    end: () => {},
    [Symbol.dispose](): void {},
  };
}

/** A connection that takes all that is sent, and whose peer sends nothing. */
function sink(): Conn<Address> {
  return new Conn(fakeSocket({
    send: (data) => data.length,
    recv: () => 0,
    shutdown: () => {},
    wait: () => new Promise(() => {}),
  }));
}

test("relay() of cat keeps nothing of what it has sent", { timeout: 240_000 }, async () => {
  const heap: number[] = [];
  async function* input(): AsyncGenerator<Uint8Array> {
    for (let count = 0; count < CHUNKS; count++) {
      if (count % 10_000 === 0) {
        await setImmediate();
        heap.push(process.memoryUsage().heapUsed);
      }
      yield new Uint8Array(100);
    }
  }
  const { signal } = new AbortController();
  await relay(sink(), pipesOf(input), { lines: false, receiveOnly: false, signal });
  // What is garbage goes now and then only: the least of many.
  const grown = Math.min(...heap.slice(-10)) - Math.min(...heap.slice(0, 10));
  assert(grown < 20 * 2 ** 20, `${grown} bytes more`);
});

test("relay() of cat ends by its signal though its input says no more", WAIT, async () => {
  const caller = new AbortController();
  const reason = new Error("enough");
  async function* input(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
    caller.abort(reason);
    await new Promise(() => {});
  }
  const relaying = relay(sink(), pipesOf(input), {
    lines: false,
    receiveOnly: false,
    signal: caller.signal,
  });
  assertStrictEquals(await relaying.catch((error) => error), reason);
});

test("relay() of cat writes what a peer says that does not read, then fails", WAIT, async () => {
  const { promise: failed, resolve: fail } = Promise.withResolvers<void>();
  const answers = [WOULD_BLOCK, 2, 3, 0];
  const conn = new Conn(fakeSocket({
    send(): number {
      fail();
      throw new SysError("send", ERRNO.EPIPE);
    },
    recv: () => answers.shift() ?? 0,
    async wait(): Promise<number> {
      await failed;
      for (let turns = 0; turns < 10; turns++) await setImmediate();
      return POLLIN;
    },
  }));
  const written: number[] = [];
  async function* input(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
    await new Promise(() => {});
  }
  const pipes = pipesOf(input, ({ length }) => written.push(length));
  const { signal } = new AbortController();
  const relaying = relay(conn, pipes, { lines: false, receiveOnly: false, signal });
  const error = await assertRejects(() => relaying, VsockError);
  assertEquals([error.op, error.code, written], ["send", "EPIPE", [2, 3]]);
});

test("relay() of cat fails where the peer has gone with a write under way", WAIT, async () => {
  const conn = new Conn(fakeSocket({
    send({ length }): number {
      if (length === 0) throw new SysError("send", ERRNO.EPIPE);
      return WOULD_BLOCK;
    },
    recv: () => 0,
    wait: () => new Promise(() => {}),
  }));
  async function* input(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1);
  }
  const { signal } = new AbortController();
  const relaying = relay(conn, pipesOf(input), { lines: false, receiveOnly: false, signal });
  const error = await assertRejects(() => relaying, VsockError);
  assertEquals([error.op, error.code], ["send", "EPIPE"]);
});
