import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { connect, listen } from "../../../mod.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";

/** The timers that are set and neither due nor cleared, of those made while `body` runs. */
async function timersLeft(body: () => Promise<void>): Promise<number> {
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
  const left = new Set<unknown>();
  const watch = (set: typeof setTimeout) => (f: () => void, ms?: number) => {
    const timer = set(() => {
      if (set === setTimeout) left.delete(timer);
      f();
    }, ms);
    left.add(timer);
    return timer;
  };
  const forget = (clear: typeof clearTimeout) => (timer?: Parameters<typeof clearTimeout>[0]) => {
    left.delete(timer);
    clear(timer);
  };
  Object.assign(globalThis, {
    setTimeout: watch(setTimeout),
    setInterval: watch(setInterval as typeof setTimeout),
    clearTimeout: forget(clearTimeout),
    clearInterval: forget(clearInterval as typeof clearTimeout),
  });
  try {
    await body();
  } finally {
    Object.assign(globalThis, { setTimeout, setInterval, clearTimeout, clearInterval });
  }
  return left.size;
}

test("createLoopback() leaves no timer behind once its sockets are closed", async () => {
  const left = await timersLeft(async () => {
    const transport = createLoopback();
    using listener = listen({ cid: 1, port: 1024 }, { transport });
    using near = await connect({ cid: 1, port: 1024 }, { transport });
    using far = await listener.accept();
    const reading = far.read(new Uint8Array(8), { timeoutMs: 60_000 });
    await near.write(Uint8Array.of(1));
    assertEquals(await reading, 1);
    near.close();
    far.close();
    await Promise.resolve(); // the goodbyes cross
  });
  assertEquals(left, 0);
});
