import { Writable } from "node:stream";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { BodyReader, sendBody } from "../../../src/http/body.ts";
import { source } from "./helpers.ts";

const EVENTS = ["drain", "close"] as const;

/** Has room for less than a chunk, and takes each in a turn of the event loop. */
function narrow(): Writable {
  return new Writable({
    highWaterMark: 1,
    write: (_chunk, _encoding, done): void => void setTimeout(done, 1),
  });
}

test("sendBody() does not wait for a body to be cancelled", { timeout: 60_000 }, async () => {
  const cancelled = Promise.withResolvers<void>();
  const body = new ReadableStream({
    cancel(): Promise<never> {
      cancelled.resolve();
      return new Promise(() => {});
    },
  });
  const outgoing = narrow().destroy();
  await sendBody(new BodyReader(body), outgoing);
  await cancelled.promise;
});

test("sendBody() leaves no listener on what it sends on, which the next body has too", async () => {
  const [outgoing, carrier] = [narrow(), narrow()];
  const count = (): number[] =>
    [outgoing, carrier].flatMap((end) => EVENTS.map((event) => end.listenerCount(event)));
  const before = count();
  await sendBody(new BodyReader(source(300_000)), outgoing, undefined, carrier);
  assertEquals(count(), before);
});
