import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { pause } from "../../../src/wait/pause.ts";
import { fakeSocket } from "../../helpers/fake_socket.ts";

test("pause() lets the event loop turn, however often", { timeout: 60_000 }, async () => {
  const ready = fakeSocket({ wait: () => Promise.resolve(8) });
  for (const vain of [0, 1, 1000]) {
    let turned = false;
    setTimeout(() => turned = true, 0);
    // Every pause may be shorter than a timer: what counts is that timers come at all.
    while (!turned) await pause(ready, vain, undefined);
  }
});

test("pause() ends with the reason of an abort", { timeout: 60_000 }, async () => {
  const socket = fakeSocket({});
  const signal = AbortSignal.abort(new RangeError("stop"));
  await assertRejects(() => pause(socket, 0, signal), RangeError, "stop");
});

test(
  "pause() that sleeps waits for nothing of a socket meanwhile",
  { timeout: 60_000 },
  async () => {
    const held = setInterval(() => {}, 1_000); // as that wait would hold the event loop
    const waits: { readonly events: number; readonly signal: AbortSignal | undefined }[] = [];
    const idle = fakeSocket({
      wait(events, signal) {
        waits.push({ events, signal });
        return new Promise((_, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason));
        });
      },
    });
    await pause(idle, 40, undefined);
    clearInterval(held);
    assertEquals(waits.map(({ events, signal }) => [events, signal?.aborted]), [[0, true]]);
  },
);

test("pause() sleeps the longer the more often it was in vain", { timeout: 60_000 }, async () => {
  const ready = fakeSocket({ wait: () => Promise.resolve(8) });
  const held = setInterval(() => {}, 1_000); // as a wait of a real socket holds the event loop
  const timed = async (vain: number): Promise<number> => {
    const start = performance.now();
    await pause(ready, vain, undefined);
    return performance.now() - start;
  };
  assert(await timed(40) >= 3, "some milliseconds");
  assert(await timed(10_000) >= 60, "many");
  clearInterval(held);
});
