/** Bodies that are cancelled: nobody waits for what their source makes of that. */
import { test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import type { Conn } from "../../../src/conn.ts";
import type { FetchClient } from "../../../src/http/fetch.ts";
import { bytes, Site, source } from "./helpers.ts";

const limit = { timeout: 60_000 };
const NEVER = new Promise<never>(() => {});

/** A body of `chunk`, one in each turn, which `cancelled` is told of, and whose end never comes. */
function stuck(chunk: unknown, cancelled: (reason: unknown) => void): ReadableStream {
  return new ReadableStream({
    async pull(controller): Promise<void> {
      await new Promise((resolve) => setTimeout(resolve, 1));
      controller.enqueue(chunk);
    },
    cancel(reason): Promise<never> {
      cancelled(reason);
      return NEVER;
    },
  }, { highWaterMark: 0 });
}

const WRONG: Readonly<Record<string, [unknown, ResponseInit]>> = {
  "has no bytes": ["text", {}],
  "is longer than its content-length": [new Uint8Array(10), {
    headers: { "content-length": "15" },
  }],
};

for (const [name, [chunk, init]] of Object.entries(WRONG)) {
  test(`serve fails a body that ${name} without a wait for its cancel()`, limit, async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const errors: unknown[] = [];
    const onError = (error: unknown): Response => {
      errors.push(error);
      return new Response("failed");
    };
    await using site = new Site(() => new Response(stuck(chunk, cancelled.resolve), init), {
      onError,
    });
    await assertRejects(async () => (await site.fetch("/")).text(), TypeError);
    assertEquals([await cancelled.promise], errors);
  });
}

test("fetch fails a body that has no bytes without a wait for its cancel()", limit, async () => {
  const cancelled = Promise.withResolvers<unknown>();
  await using site = new Site(() => new Response("ok"), {}, { maxConnections: 1 });
  const body = stuck("text", cancelled.resolve);
  const { cause } = await assertRejects(
    () => site.fetch("/", { method: "POST", body, duplex: "half" }),
    TypeError,
  );
  assertEquals(await cancelled.promise, cause);
  assertEquals(await (await site.fetch("/")).text(), "ok"); // by a connection that is whole
});

const ENDS: Readonly<Record<string, (client: FetchClient, abort: AbortController) => void>> = {
  "is aborted": (_, abort) => abort.abort(),
  "is closed": (client) => client.close(),
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`fetch that ${name} in its turn does not wait for its body's cancel()`, limit, async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const dial = (): Promise<Conn> => NEVER;
    await using site = new Site(() => new Response("ok"), {}, { connect: dial });
    const abort = new AbortController();
    const body = stuck("text", cancelled.resolve);
    const { signal } = abort;
    const fetched = site.fetch("/", { method: "POST", body, duplex: "half", signal });
    queueMicrotask(() => end(site.client, abort));
    assertEquals(await fetched.catch((reason) => reason), await cancelled.promise);
  });
}

test("fetch gives up a redirect that is to be an error, with all of its body", limit, async () => {
  const redirect = { status: 302, headers: { location: "/there" } };
  await using site = new Site(
    (request) => new Response(request.url.endsWith("/") ? source(1 << 20) : "there", redirect),
    {},
    { maxConnections: 1, unreadTimeoutMs: Infinity },
  );
  await assertRejects(() => site.fetch("/", { redirect: "error" }), TypeError, "of status 302");
  assertEquals(await (await site.fetch("/there")).text(), "there");
});

test("serve cancels the body of a response whose client was gone before", limit, async () => {
  const cancelled = Promise.withResolvers<unknown>();
  await using site = new Site((request) =>
    new Promise((resolve) => {
      request.signal.addEventListener("abort", () => {
        setTimeout(() => resolve(new Response(stuck(new Uint8Array(1), cancelled.resolve))), 10);
      });
    })
  );
  const conn = await site.dial();
  await conn.write(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  setTimeout(() => conn.close(), 10);
  await cancelled.promise;
});

test(
  "serve cancels the body of a response that waits for more once its client goes",
  limit,
  async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const body = new ReadableStream({ pull: () => NEVER, cancel: cancelled.resolve });
    await using site = new Site(() => new Response(body));
    const response = await site.fetch("/");
    await response.body!.cancel();
    await cancelled.promise;
  },
);
