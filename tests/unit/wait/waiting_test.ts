import { test } from "node:test";
import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { VsockError } from "../../../src/error.ts";
import {
  limitWait,
  orAborted,
  requireWaitOptions,
  type WaitOptions,
} from "../../../src/wait/waiting.ts";

const ADDRESS = { cid: 1, port: 1024 };

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}

test("requireWaitOptions() takes every time that a timer can", () => {
  for (const timeoutMs of [0, 0.5, 1, 2 ** 31 - 1, Infinity, undefined]) {
    requireWaitOptions({ timeoutMs, signal: undefined });
  }
});

test("requireWaitOptions() refuses other times and types", () => {
  for (const timeoutMs of [-1, NaN, -Infinity, 2 ** 31]) {
    const error = assertThrows(() => requireWaitOptions({ timeoutMs }), RangeError);
    assertEquals(
      error.message,
      "Cannot use timeoutMs: must be from 0 to 2147483647, or Infinity: " +
        `current value is ${timeoutMs}`,
    );
  }
  for (
    const options of [null, 5, { timeoutMs: "5" }, { signal: {} }, {
      signal: { throwIfAborted() {} },
    }, { timeoutMs: null }]
  ) {
    assertThrows(() => requireWaitOptions(options as unknown as WaitOptions), TypeError);
  }
});

test("requireWaitOptions() throws the reason of an aborted signal", () => {
  const reason = new Error("stop");
  const thrown = assertThrows(() => requireWaitOptions({ signal: AbortSignal.abort(reason) }));
  assertStrictEquals(thrown, reason);
});

test("limitWait() is over at once with timeoutMs 0", () => {
  const error = assertThrows(() => limitWait("recv", { timeoutMs: 0 }, ADDRESS), VsockError);
  assertEquals([error.op, error.code, error.address], ["recv", "ETIMEDOUT", ADDRESS]);
});

test("limitWait() has no signal of its own without timeoutMs", () => {
  const { signal } = new AbortController();
  assertEquals(limitWait("recv", undefined, ADDRESS).signal, undefined);
  assertStrictEquals(limitWait("recv", { signal }, ADDRESS).signal, signal);
});

test("limitWait() aborts with ETIMEDOUT when the time is over", { timeout: 60_000 }, async () => {
  using limit = limitWait("accept", { timeoutMs: 1 }, ADDRESS);
  const held = setTimeout(() => {}, 60_000);
  const reason = await aborted(limit.signal!);
  clearTimeout(held);
  if (!(reason instanceof VsockError)) throw reason;
  assertEquals([reason.op, reason.code], ["accept", "ETIMEDOUT"]);
});

test("limitWait() stops its clock when disposed", { timeout: 60_000 }, async () => {
  const limit = limitWait("recv", { timeoutMs: 1 }, ADDRESS);
  limit[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 20)); // by which it would have gone off
  assertEquals(limit.signal?.aborted, false);
});

test("limitWait() passes on the reason of an abort before the time is over", async () => {
  const caller = new AbortController();
  using limit = limitWait("recv", { timeoutMs: 60_000, signal: caller.signal }, ADDRESS);
  const reason = aborted(limit.signal!);
  caller.abort("enough");
  assertEquals(await reason, "enough");
});

test("limitWait() is over at once where the caller's signal is aborted already", () => {
  const signal = AbortSignal.abort("enough");
  using limit = limitWait("recv", { timeoutMs: 60_000, signal }, ADDRESS);
  assertEquals([limit.signal?.aborted, limit.signal?.reason], [true, "enough"]);
});

test("limitWait() lets go of the caller's signal when disposed", () => {
  const caller = new AbortController();
  const limit = limitWait("recv", { timeoutMs: 60_000, signal: caller.signal }, ADDRESS);
  limit[Symbol.dispose]();
  caller.abort();
  assertEquals(limit.signal!.aborted, false);
});

test("orAborted() settles with what comes first", { timeout: 60_000 }, async () => {
  const stop = new AbortController();
  assertEquals(await orAborted(Promise.resolve(5), stop.signal), 5);
  await assertRejects(() => orAborted(Promise.reject(new RangeError("no")), undefined), RangeError);
  const never = orAborted(new Promise(() => {}), stop.signal);
  stop.abort(new RangeError("stop"));
  await assertRejects(() => never, RangeError, "stop");
});

test("orAborted() leaves no rejection unhandled after an abort", { timeout: 60_000 }, async () => {
  const signal = AbortSignal.abort(new RangeError("stop"));
  await assertRejects(() => orAborted(Promise.reject(new Error("late")), signal), RangeError);
  await new Promise((resolve) => setTimeout(resolve, 0)); // an unhandled one would fail this test
});

test("orAborted() hears of a failure behind the back of a signal that throws", async () => {
  const { signal } = new AbortController();
  signal.addEventListener = (): void => {
    throw new Error("no listener");
  };
  const { promise, reject } = Promise.withResolvers<void>();
  await assertRejects(() => orAborted(promise, signal), Error, "no listener");
  reject(new Error("nobody would have heard of it"));
  await new Promise((resolve) => setTimeout(resolve));
});
