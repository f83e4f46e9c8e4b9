import { test } from "node:test";
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { POLLERR, POLLHUP, POLLOUT, POLLRDHUP } from "../../../ffi/abi/poll.ts";
import { Room } from "../../../src/send/room.ts";
import type { AnySocket } from "../../../src/socket.ts";

const TIMEOUT = { timeout: 60_000 };
type Answer = number | Error | "nothing";

/** Gives `answers`, one a wait; where that is nothing, a wait ends by its signal alone. */
function roomOf(...answers: Answer[]): { room: Room; asked: number[] } {
  const asked: number[] = [];
  const wait = (events: number, signal?: AbortSignal): Promise<number> =>
    new Promise((resolve, reject) => {
      asked.push(events);
      const answer = answers.shift();
      if (typeof answer === "number") return resolve(answer);
      if (answer instanceof Error) return reject(answer);
      signal?.throwIfAborted();
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  return { room: new Room({ wait } as unknown as AnySocket), asked };
}

test("Room.wait() tells room, or an error to learn of, from an end of the peer's side", async () => {
  for (
    const [events, has] of [
      [POLLOUT, true],
      [POLLRDHUP, false],
      [POLLOUT | POLLRDHUP, true],
      [POLLRDHUP | POLLHUP, true],
      [POLLERR, true],
    ] as const
  ) {
    const { room, asked } = roomOf(events);
    assertEquals([await room.wait(undefined), asked], [has, [POLLOUT | POLLRDHUP]]);
  }
});

test("Room.wait() looks again and again once the peer has ended its side", TIMEOUT, async () => {
  const { room, asked } = roomOf(POLLRDHUP, "nothing", POLLOUT, "nothing");
  const told = [];
  for (let i = 0; i < 4; i++) told.push(await room.wait(undefined));
  assertEquals(told, [false, false, true, false]);
  assertEquals(asked, [POLLOUT | POLLRDHUP, POLLOUT, POLLOUT, POLLOUT]);
});

test("Room.wait() does not look for an end that it was not told of", TIMEOUT, async () => {
  const { room, asked } = roomOf(POLLOUT, "nothing");
  await room.wait(undefined);
  const over = new AbortController();
  const waits = room.wait(over.signal);
  over.abort(new Error("enough"));
  await assertRejects(() => waits, Error, "enough");
  assertEquals(asked, [POLLOUT | POLLRDHUP, POLLOUT | POLLRDHUP]);
});

test("Room.wait() that looks rejects with its signal's reason, and with an error", async () => {
  const { room } = roomOf(POLLRDHUP, new Error("broken"), "nothing");
  await room.wait(undefined);
  await assertRejects(() => room.wait(undefined), Error, "broken");
  const [over, reason] = [new AbortController(), new Error("enough")];
  const waits = room.wait(over.signal);
  over.abort(reason);
  assertStrictEquals(await assertRejects(() => waits), reason);
});
