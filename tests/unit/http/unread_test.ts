import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { assertEquals, assertRejects } from "@std/assert";
import { UnreadTime } from "../../../src/http/unread.ts";
import { bytes, Site, source } from "./helpers.ts";

const MIB = 1024 * 1024;
const limit = { timeout: 60_000 };

const SMALL: Readonly<Record<string, () => Response>> = {
  "null": () => new Response(null),
  "an empty string": () => new Response(""),
  "a redirect": () => Response.redirect("http://a/b"),
  "a string": () => new Response("hello"),
  "60,000 bytes": () => new Response(new Uint8Array(60_000)),
  "chunks": () => new Response(source(60_000)),
};
for (const [name, make] of Object.entries(SMALL)) {
  test(
    `fetch has its connection back where ${name} is not read, or read later`,
    limit,
    async () => {
      await using site = new Site(make, {}, { maxConnections: 1 });
      const responses: Response[] = [];
      for (let i = 0; i < 10; i++) responses.push(await site.fetch("/"));
      assertEquals(site.dials, 1);
      const { length } = await make().bytes();
      for (const response of responses) assertEquals((await response.bytes()).length, length);
    },
  );
}

test("fetch fails where nobody reads the responses that hold all connections", limit, async () => {
  await using site = new Site(() => new Response(source(MIB)), {}, {
    maxConnections: 2,
    unreadTimeoutMs: 20,
  });
  const responses = [await site.fetch("/"), await site.fetch("/")];
  await assertRejects(
    () => site.fetch("/"),
    TypeError,
    "Cannot fetch: the body of each response must be read or cancelled: " +
      "current value is 2 unread, which hold all connections",
  );
  await responses[0]!.body!.cancel();
  assertEquals((await (await site.fetch("/")).bytes()).length, MIB);
  assertEquals((await responses[1]!.bytes()).length, MIB);
});

test("fetch waits for a connection that takes long to open", limit, async () => {
  const options = { maxConnections: 1, unreadTimeoutMs: 1 };
  await using site: Site = new Site(() => new Response("ok"), {}, {
    ...options,
    connect: () => delay(50).then(() => site.dial()),
  });
  const responses = await Promise.all([site.fetch("/"), site.fetch("/")]);
  assertEquals(await Promise.all(responses.map((response) => response.text())), ["ok", "ok"]);
});

test("fetch fails where nobody reads the clones of such responses either", limit, async () => {
  await using site = new Site(() => new Response(source(MIB)), {}, {
    maxConnections: 1,
    unreadTimeoutMs: 20,
  });
  const response = await site.fetch("/");
  const clone = response.clone();
  await assertRejects(() => site.fetch("/"), TypeError, "current value is 1 unread");
  const both = await Promise.all([response.bytes(), clone.bytes()]);
  assertEquals(both.map(({ length }) => length), [MIB, MIB]);
});

for (const [name, releases] of [["one reader", false], ["many readers", true]] as const) {
  test(`fetch waits on for a response that is read by ${name}`, limit, async () => {
    await using site = new Site(() => new Response(source(MIB)), {}, {
      maxConnections: 1,
      unreadTimeoutMs: 1_500,
    });
    const body = (await site.fetch("/")).body!;
    const next = site.fetch("/");
    let reader = body.getReader();
    for (let i = 0; i < 10; i++) { // for longer than that, and never long
      await reader.read();
      if (releases) reader.releaseLock();
      await delay(200);
      if (releases) reader = body.getReader();
    }
    await reader.cancel();
    assertEquals((await (await next).bytes()).length, MIB);
  });
}

test("fetch waits on for a small response that nobody reads and that goes on", limit, async () => {
  let end = (): void => {};
  await using site = new Site(
    (request) => {
      if (request.url.endsWith("/next")) return new Response("next");
      const body = new ReadableStream({
        start(controller): void {
          controller.enqueue(bytes("small"));
          end = () => controller.close();
        },
      });
      return new Response(body);
    },
    {},
    { maxConnections: 1, unreadTimeoutMs: 20 },
  );
  const small = await site.fetch("/");
  const next = site.fetch("/next");
  next.catch(() => {});
  await delay(100);
  end();
  assertEquals([await (await next).text(), await small.text()], ["next", "small"]);
});

test("UnreadTime.ms counts from the last chunk that came, or was read", async () => {
  const unread = new UnreadTime();
  const queue = { desiredSize: -2 };
  assertEquals(unread.ms, 0);
  unread.start(queue);
  await delay(50);
  const before = unread.ms;
  queue.desiredSize = -1;
  const after = unread.ms;
  assertEquals([before > 40, after < before], [true, true], `${before} ${after}`);
  queue.desiredSize = 1;
  assertEquals(unread.ms, 0);
  queue.desiredSize = 0;
  unread.stop();
  await delay(5);
  assertEquals(unread.ms, 0);
});

for (const method of ["text", "bytes"] as const) {
  test(`fetch waits on for a response that ${method}() reads`, limit, async () => {
    let end = (): void => {};
    await using site = new Site(
      (request) => {
        if (request.url.endsWith("/next")) return new Response("next");
        return new Response(
          new ReadableStream({ start: (body) => void (end = () => body.close()) }),
        );
      },
      {},
      { maxConnections: 1, unreadTimeoutMs: 20 },
    );
    const read = (await site.fetch("/"))[method]();
    const next = site.fetch("/next");
    await delay(100);
    end();
    assertEquals((await read).length, 0);
    assertEquals(await (await next).text(), "next");
  });
}

test("fetch waits on for a response that is yet to come", limit, async () => {
  await using site = new Site(
    async () => {
      await delay(100);
      return new Response("late");
    },
    {},
    { maxConnections: 1, unreadTimeoutMs: 20 },
  );
  const both = await Promise.all([site.fetch("/"), site.fetch("/")]);
  for (const response of both) assertEquals(await response.text(), "late");
});
