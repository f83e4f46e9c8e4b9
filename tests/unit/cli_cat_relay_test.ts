/** What `vsockit cat` relays from its standard input. */
import process from "node:process";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { assert, assertStrictEquals } from "@std/assert";
import type { Address } from "../../src/address.ts";
import type { Pipes } from "../../src/cli/cat/pipes.ts";
import { relay } from "../../src/cli/cat/relay.ts";
import { Conn } from "../../src/conn.ts";
import { fakeSocket } from "./fake_socket.ts";

const WAIT = { timeout: 60_000 };
const CHUNKS = 300_000;

/** Pipes of which only what comes in matters. */
function pipesOf(read: () => AsyncIterable<Uint8Array>): Pipes {
  return {
    quiet: false,
    read,
    write: () => Promise.resolve(),
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
  })) as Conn<Address>;
}

test("relay() of cat keeps nothing of what it has sent", WAIT, async () => {
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
