/** Clients that close their half of a connection, and those that close all of it. */
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import type { Address } from "../../../src/address.ts";
import { connect } from "../../../src/connect.ts";
import type { Conn } from "../../../src/conn.ts";
import { type HttpServer, serve, type ServeHandler } from "../../../src/http/serve.ts";
import { listen } from "../../../src/listen.ts";
import type { TransportChoice } from "../../../src/transport.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";
import { until } from "../../helpers/until.ts";
import { bytes, readText, Site, source } from "./helpers.ts";

const limit = { timeout: 60_000 };
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** A site whose handler answers when it is told to; `asked` has the requests. */
class Slow extends Site {
  readonly asked: Request[] = [];
  readonly #answer: PromiseWithResolvers<void>;

  constructor() {
    const answer = Promise.withResolvers<void>();
    super(async (request) => {
      this.asked.push(request);
      await answer.promise;
      return new Response(`late ${this.asked.indexOf(request)}`);
    });
    this.#answer = answer;
  }

  answer(): void {
    this.#answer.resolve();
  }

  /** Resolves once `count` requests are there. */
  async hears(count: number): Promise<void> {
    await until(() => this.asked.length >= count, () => this.asked.length);
  }
}

async function halfClosed(site: Site, text: string): Promise<Conn> {
  const conn = await site.dial();
  await conn.write(bytes(text));
  await conn.closeWrite();
  return conn;
}

for (const count of [1, 3]) {
  test(
    `serve answers ${count} of a client that has closed its half, and closes`,
    limit,
    async () => {
      await using site = new Slow();
      using conn = await halfClosed(site, GET.repeat(count));
      await site.hears(count);
      await new Promise((resolve) => setTimeout(resolve, 20)); // the end comes after the request
      assertEquals(site.asked.map(({ signal }) => signal.aborted), Array(count).fill(false));
      site.answer();
      const text = await readText(conn);
      assertEquals(text.match(/late \d/g), Array.from({ length: count }, (_, i) => `late ${i}`));
    },
  );
}

test("serve sends a long body to a client that has closed its half", limit, async () => {
  await using site = new Site(() => new Response(source(8 * 1024 * 1024)));
  using conn = await halfClosed(site, GET);
  const text = await readText(conn);
  assertMatch(text.slice(-7), /\r\n0\r\n\r\n$/);
});

test(
  "serve closes a connection without a request whose client closes its half",
  limit,
  async () => {
    await using site = new Site(() => new Response("never"));
    using conn = await halfClosed(site, "");
    assertEquals(await readText(conn), "");
  },
);

test("serve fails a body that its client ends too early, and closes", limit, async () => {
  const failed = Promise.withResolvers<unknown>();
  await using site = new Site((request) => {
    const read = request.text();
    read.then(() => failed.resolve(undefined), failed.resolve);
    return read.then((text) => new Response(text));
  }, { onError: () => new Response("cut") });
  using conn = await halfClosed(
    site,
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
  );
  assertEquals(await failed.promise instanceof Error, true);
  assertEquals((await readText(conn)).includes("200 OK"), false);
});

test("serve aborts request.signal of each request whose client is gone", limit, async () => {
  const ended: Promise<void>[] = [];
  const never = Promise.withResolvers<Response>();
  await using site = new Site(({ signal }, { completed }) => {
    ended.push(new Promise((resolve) => signal.addEventListener("abort", () => resolve())));
    ended.push(completed);
    return never.promise;
  });
  const conn = await site.dial();
  await conn.write(bytes(GET.repeat(3)));
  await until(() => ended.length === 6, () => ended.length);
  conn.close();
  await Promise.all(ended);
});

test("serve aborts request.signal once a client goes that had closed its half", limit, async () => {
  using folder = new TempFolder();
  const ways: readonly (readonly [Address, TransportChoice<Address>])[] = [
    [{ cid: 1, port: 4003 }, "loopback"],
    [{ path: folder.path("s") }, "auto"],
  ];
  for (const [address, transport] of ways) {
    const asked = Promise.withResolvers<Request>();
    await using server = serve(listen(address, { transport }), (request) => {
      asked.resolve(request);
      return new Promise((_, reject) => request.signal.addEventListener("abort", reject));
    });
    const conn = await connect(server.addr, { transport });
    await conn.write(bytes(GET));
    await conn.closeWrite();
    const { signal } = await asked.promise;
    await new Promise((resolve) => setTimeout(resolve, 20)); // the end comes after the request
    assertEquals(signal.aborted, false);
    conn.close();
    await until(() => signal.aborted);
  }
});

test(
  "serve aborts request.signal when a client that awaits a long body is gone",
  limit,
  async () => {
    const aborted = Promise.withResolvers<void>();
    await using site = new Site(({ signal }) => {
      signal.addEventListener("abort", () => aborted.resolve());
      return new Response(new ReadableStream({ start: (body) => body.enqueue(bytes("first")) }));
    });
    const conn = await site.dial();
    await conn.write(bytes(GET));
    await conn.read(new Uint8Array(4096));
    conn.close();
    await aborted.promise;
  },
);

/** A server over TCP, and a client that has asked it and closed its half. */
async function halfClosedOverTcp(
  handler: ServeHandler,
): Promise<{ server: HttpServer; conn: Conn }> {
  const listener = listen({ hostname: "127.0.0.1", port: 0 });
  const server = serve(listener, handler);
  const conn = await connect(listener.addr);
  await conn.write(bytes(GET));
  await conn.closeWrite();
  return { server, conn };
}

test("serve answers a TCP client that has closed its half, its signal aborted", limit, async () => {
  const { server, conn } = await halfClosedOverTcp(async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return new Response("late");
  });
  assertMatch(await readText(conn), /late/);
  conn.close();
  await server.shutdown();
});

test("serve closes where a handler gives up a TCP client that may be gone", limit, async () => {
  const { server, conn } = await halfClosedOverTcp(({ signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
  );
  assertEquals(await readText(conn), "");
  conn.close();
  await server.shutdown();
});
