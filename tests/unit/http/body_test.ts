import { Writable } from "node:stream";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { assertEquals } from "@std/assert";
import { BodyReader, sendBody } from "../../../src/http/body.ts";
import { Site, source } from "./helpers.ts";

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

// Under jsdom and jest a program has another Uint8Array than the streams of its runtime.
for (const count of [1, 3]) {
  const name = `serve and fetch send Uint8Arrays of another realm, ${count} of them`;
  test(name, { timeout: 60_000 }, async () => {
    const make = runInNewContext("() => Uint8Array.of(104, 105)");
    const body = (): ReadableStream<Uint8Array<ArrayBuffer>> =>
      new ReadableStream({
        start(controller): void {
          for (let i = 0; i < count; i++) controller.enqueue(make());
          controller.close();
        },
      });
    const texts: string[] = [];
    await using site = new Site(async (request) => {
      texts.push(await request.text());
      return new Response(body());
    });
    const response = await site.fetch("/", { method: "POST", body: body(), duplex: "half" });
    texts.push(await response.text());
    assertEquals(texts, ["hi".repeat(count), "hi".repeat(count)]);
  });
}
