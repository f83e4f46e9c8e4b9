import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { POLLIN, POLLNVAL, POLLOUT } from "../../../ffi/abi/poll.ts";
import { LoopHold } from "../../../src/wait/loop_hold.ts";
import { Waiters } from "../../../src/wait/waiters.ts";

test("Waiters.add() ends once where its own signal closes the socket, and listens all the same", async () => {
  using hold = new LoopHold();
  const waiters = new Waiters(hold, () => 0);
  const controller = new AbortController();
  const { signal } = controller;
  signal.addEventListener = (...args: Parameters<EventTarget["addEventListener"]>): void => {
    waiters.finish(POLLNVAL);
    EventTarget.prototype.addEventListener.apply(signal, args);
  };
  assertEquals(await waiters.add(POLLIN, signal), POLLNVAL);
  controller.abort();
  assertEquals(hold.holders, 0);
});

test("Waiters.add() leaves nothing of a wait whose own signal throws", async () => {
  using hold = new LoopHold();
  const waiters = new Waiters(hold, () => POLLIN);
  const { signal } = new AbortController();
  signal.addEventListener = (): void => {
    throw new Error("no listener");
  };
  await assertRejects(() => waiters.add(POLLIN, signal), Error, "no listener");
  assertEquals([hold.holders, waiters.wake()], [0, 0]);
});

test("Waiters.wake() ends each wait once, where the signal of one closes the socket", async () => {
  using hold = new LoopHold();
  const waiters = new Waiters(hold, (events) => events & POLLIN);
  const { signal } = new AbortController();
  signal.removeEventListener = (): void => waiters.finish(POLLNVAL);
  const waits = [
    waiters.add(POLLOUT, undefined),
    waiters.add(POLLIN, signal),
    waiters.add(POLLIN, undefined),
  ];
  hold.acquire();
  assertEquals([waiters.wake(), hold.holders], [0, 1]);
  hold.release();
  assertEquals(await Promise.all(waits), [POLLNVAL, POLLIN, POLLNVAL]);
});
