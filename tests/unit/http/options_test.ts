import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import type { Conn } from "../../../src/conn.ts";
import { createFetch, type FetchOptions } from "../../../src/http/fetch.ts";
import { serve, type ServeHandler, type ServeOptions } from "../../../src/http/serve.ts";
import { listen } from "../../../src/listen.ts";
import type { Listener } from "../../../src/listener.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";

type ErrorClass = typeof TypeError | typeof RangeError;

const connect = (): Promise<Conn> => Promise.reject(new Error("never"));
const handler: ServeHandler = () => new Response();

const NO_MS: readonly [unknown, ErrorClass, string][] = [
  [NaN, RangeError, "must be from 0 to 2147483647, or Infinity: current value is NaN"],
  [-1, RangeError, "must be from 0 to 2147483647, or Infinity: current value is -1"],
  [2 ** 31, RangeError, "must be from 0 to 2147483647, or Infinity: current value is 2147483648"],
  ["9", TypeError, 'must be a number: current value is "9"'],
  [null, TypeError, "must be a number: current value is null"],
];
const NO_COUNT: readonly [unknown, ErrorClass, string][] = [
  ...[NaN, 0, 1.5, -Infinity].map((n): [unknown, ErrorClass, string] => {
    return [n, RangeError, `must be an integer of at least 1, or Infinity: current value is ${n}`];
  }),
  ["3", TypeError, 'must be a number: current value is "3"'],
];
const NO_FUNCTION: readonly [unknown, ErrorClass, string][] = [
  ["vm", TypeError, 'must be a function: current value is "vm"'],
  [{}, TypeError, "must be a function: current value is Object"],
];

const FETCH = {
  connect: [...NO_FUNCTION, [undefined, TypeError, "must be a function"] as const],
  maxConnections: NO_COUNT,
  idleTimeoutMs: NO_MS,
  unreadTimeoutMs: NO_MS,
};
for (const [name, values] of Object.entries(FETCH)) {
  test(`createFetch refuses a wrong ${name} by name`, () => {
    for (const [value, errorClass, message] of values) {
      const options = { connect, [name]: value } as unknown as FetchOptions;
      assertThrows(() => createFetch(options), errorClass, `Cannot use ${name}: ${message}`);
    }
  });
}

test("createFetch refuses options that are none", () => {
  for (const options of [undefined, null, connect]) {
    const create = (): unknown => createFetch(options as unknown as FetchOptions);
    assertThrows(create, TypeError, "Cannot use options: must be an object");
  }
});

test("createFetch takes any number of connections, and waits without an end", () => {
  for (const maxConnections of [1, 1_000, Infinity]) {
    for (const idleTimeoutMs of [0, 1.5, Infinity]) {
      createFetch({ connect, maxConnections, idleTimeoutMs }).close();
    }
  }
});

const SERVE = {
  onError: NO_FUNCTION,
  upgrade: NO_FUNCTION,
  idleTimeoutMs: NO_MS,
  signal: [[
    {},
    TypeError,
    "must be an AbortSignal of this runtime: current value is Object",
  ]] as const,
};
for (const [name, values] of Object.entries(SERVE)) {
  test(`serve refuses a wrong ${name} by name, and leaves the listener`, () => {
    using listener = listen({ cid: 1, port: 1 }, { transport: createLoopback() });
    for (const [value, errorClass, message] of values) {
      const options = { [name]: value } as ServeOptions;
      const begin = (): unknown => serve(listener, handler, options);
      assertThrows(begin, errorClass, `Cannot use ${name}: ${message}`);
    }
    assertEquals(listener.socket.closed, false);
  });
}

test("serve takes a part of a millisecond", async () => {
  for (const idleTimeoutMs of [0.5, 1.5, Infinity]) {
    const listener = listen({ cid: 1, port: 1 }, { transport: createLoopback() });
    await serve(listener, handler, { idleTimeoutMs }).shutdown();
  }
});

test("serve refuses a handler that is none, and leaves the listener", () => {
  using listener = listen({ cid: 1, port: 1 }, { transport: createLoopback() });
  for (const [value, said] of [[undefined, "undefined"], [{}, "Object"]]) {
    const begin = (): unknown => serve(listener, value as ServeHandler);
    assertThrows(begin, TypeError, `handler must be a function: current value is ${said}`);
  }
  assertEquals(listener.socket.closed, false);
});

test("serve says that the listener comes first", () => {
  using listener = listen({ cid: 1, port: 1 }, { transport: createLoopback() });
  const swapped = [handler, listener] as unknown as [Listener, ServeHandler];
  assertThrows(
    () => serve(...swapped),
    TypeError,
    "Cannot serve: the first argument must be a Listener: current value is Function",
  );
  const none = undefined as unknown as Listener;
  assertThrows(() => serve(none, handler), TypeError, "current value is undefined");
  assertEquals(listener.socket.closed, false);
});

test("serve refuses a listener of messages", () => {
  using listener = listen({ cid: 1, port: 1 }, {
    transport: createLoopback(),
    type: "seqpacket",
  });
  assertThrows(() => serve(listener, handler), TypeError, "must be of type stream");
});
