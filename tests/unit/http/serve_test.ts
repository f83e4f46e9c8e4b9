import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import type { Conn } from "../../../src/conn.ts";
import { connect } from "../../../src/connect.ts";
import { VsockError } from "../../../src/error.ts";
import { serve } from "../../../src/http/serve.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import { runChild } from "../../helpers/child.ts";
import { bytes, readText, Site, source } from "./helpers.ts";

const MIB = 1024 * 1024;
const limit = { timeout: 120_000 };

async function hashOf(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of stream!) hash.update(chunk);
  return hash.digest("hex");
}

test("serve answers with what the handler gives", limit, async () => {
  await using site = new Site(async (request, { remoteAddr }) => {
    const { method, url, headers } = request;
    const told = [method, url, headers.get("x-a"), await request.text(), remoteAddr.cid];
    return new Response(JSON.stringify(told), {
      status: 201,
      statusText: "Made",
      headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-b", "2"]],
    });
  });
  const init = { method: "PUT", body: "data", headers: { "x-a": "1" } };
  const response = await site.fetch("//p?q=1", init);
  const { status, statusText, headers } = response;
  assertEquals([status, statusText, headers.get("x-b")], [201, "Made", "2"]);
  assertEquals(headers.getSetCookie(), ["a=1", "b=2"]);
  assertEquals(await response.json(), ["PUT", "http://localhost//p?q=1", "1", "data", 1]);
});

test("serve and fetch stream 64 MiB each way", limit, async () => {
  const uploaded: string[] = [];
  await using site = new Site(async (request) => {
    uploaded.push(await hashOf(request.body));
    return new Response(source(64 * MIB));
  });
  const response = await site.fetch("/", {
    method: "POST",
    body: source(64 * MIB),
    duplex: "half",
  });
  const downloaded = await hashOf(response.body);
  const sent = await hashOf(source(64 * MIB));
  assertEquals([...uploaded, downloaded], [sent, sent]);
});

test("serve echoes a body while it comes", limit, async () => {
  await using site = new Site((request) => new Response(request.body));
  const response = await site.fetch("/", { method: "POST", body: source(4 * MIB), duplex: "half" });
  assertEquals(await hashOf(response.body), await hashOf(source(4 * MIB)));
});

test("serve stops a body that its client does not read", limit, async () => {
  let pulls = 0;
  let cancelled = (): void => {};
  const over = new Promise<void>((resolve) => cancelled = resolve);
  await using site = new Site((request) => {
    request.signal.addEventListener("abort", () => cancelled());
    return new Response(source(64 * MIB, () => pulls++));
  });
  const response = await site.fetch("/");
  for (let before = -1; before < pulls;) {
    before = pulls;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertLess(pulls, 100); // of 1024
  await response.body!.cancel();
  await over;
});

test("fetch stops a body that the server does not read", limit, async () => {
  let pulls = 0;
  let answer = (_: Response): void => {};
  await using site = new Site(() => new Promise((resolve) => answer = resolve));
  const body = source(64 * MIB, () => pulls++);
  const abort = new AbortController();
  const fetched = site.fetch("/", { method: "POST", body, duplex: "half", signal: abort.signal });
  for (let before = -1; before < pulls;) {
    before = pulls;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertLess(pulls, 100); // of 1024
  const refused = assertRejects(() => fetched);
  abort.abort(new RangeError("enough"));
  assertInstanceOf(await refused, RangeError);
  answer(new Response("late"));
});

test("fetch keeps a connection for the next request", limit, async () => {
  await using site = new Site(() => new Response("hello"));
  for (let i = 0; i < 20; i++) assertEquals(await (await site.fetch("/")).text(), "hello");
  assertEquals(site.dials, 1);
});

test("serve keeps a connection whose body was not read, or not at once", limit, async () => {
  await using site = new Site(async (request) => {
    if (request.url.endsWith("/unread")) return new Response("unread");
    await new Promise((resolve) => setTimeout(resolve, 5));
    return new Response(`${(await request.bytes()).length}`);
  });
  for (const length of [10, 70_000, 300_000]) {
    const body = new Uint8Array(length);
    for (const [path, text] of [["/unread", "unread"], ["/read", `${length}`]]) {
      assertEquals(await (await site.fetch(path!, { method: "POST", body })).text(), text);
    }
  }
});

test("serve and fetch hold 50 connections", limit, async () => {
  let here = 0;
  let open = (): void => {};
  const all = new Promise<void>((resolve) => open = resolve);
  await using site = new Site(
    async (request) => {
      if (++here === 50) open();
      await all;
      return new Response(request.url);
    },
    {},
    { maxConnections: 50 },
  );
  const paths = Array.from({ length: 50 }, (_, i) => `/${i}`);
  const texts = await Promise.all(paths.map(async (path) => (await site.fetch(path)).text()));
  assertEquals(texts, paths.map((path) => `http://localhost${path}`));
  assertEquals(site.dials, 50);
});

test("serve answers 500 where the handler throws", limit, async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown): Response => {
    errors.push(error);
    return new Response("sorry", { status: 500 });
  };
  await using site = new Site((request) => {
    if (request.url.endsWith("/type")) return "no response" as unknown as Response;
    throw new RangeError("handler");
  }, { onError });
  for (const path of ["/", "/type"]) {
    const response = await site.fetch(path);
    assertEquals([response.status, await response.text()], [500, "sorry"]);
  }
  assertInstanceOf(errors[0], RangeError);
  assertInstanceOf(errors[1], TypeError);
  assertEquals(site.dials, 1);
});

test("serve answers 500 where onError fails, and asks once", limit, async (t) => {
  const onErrors: readonly (() => Response)[] = [
    () => {
      throw new RangeError("second");
    },
    () => "no response" as unknown as Response,
  ];
  const error = t.mock.method(console, "error", () => {});
  for (const onError of onErrors) {
    let asked = 0;
    await using site = new Site((request) => {
      if (request.url.endsWith("/good")) return new Response("good");
      asked += 1;
      throw new RangeError("handler");
    }, { onError });
    await (await site.fetch("/good")).text();
    const response = await site.fetch("/");
    const told = [response.status, await response.text(), asked];
    assertEquals(told, [500, "Internal Server Error", 1]);
  }
  assertEquals(error.mock.callCount(), 2);
});

test("serve sends no field of a response that cannot be sent", limit, async () => {
  await using site = new Site(() => {
    return new Response("x", { headers: { "a-field": "a", "set-cookie": "b=1", "x-a": "\x01" } });
  }, { onError: () => new Response("sorry", { status: 500 }) });
  const response = await site.fetch("/");
  assertEquals([response.status, await response.text()], [500, "sorry"]);
  assertEquals(["a-field", "set-cookie"].map((name) => response.headers.get(name)), [null, null]);
});

test("serve sends no status text of a response that cannot be sent", limit, async () => {
  await using site = new Site(
    () => Object.defineProperty(new Response("x"), "statusText", { value: "a\x01b" }),
    { onError: () => new Response("sorry", { status: 500 }) },
  );
  const { status, statusText } = await site.fetch("/");
  assertEquals([status, statusText], [500, "Internal Server Error"]);
});

test("serve resets a response whose body fails", limit, async () => {
  const onError = (): Response => new Response("late");
  let fail = (): void => {};
  await using site = new Site(() => {
    const body = new ReadableStream({
      start(controller): void {
        controller.enqueue(bytes("part"));
        fail = (): void => controller.error(new RangeError("body"));
      },
    });
    return new Response(body);
  }, { onError });
  const response = await site.fetch("/");
  const reader = response.body!.getReader();
  assertEquals((await reader.read()).value, bytes("part"));
  fail();
  const error = await assertRejects(() => reader.read(), TypeError);
  assertInstanceOf(error.cause, VsockError);
});

test("serve lets a handler take longer than a connection may idle", limit, async () => {
  await using site = new Site(async () => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return new Response("late");
  }, { idleTimeoutMs: 250 });
  for (let i = 0; i < 2; i++) assertEquals(await (await site.fetch("/")).text(), "late");
});

test("serve aborts request.signal when the client is gone", limit, async () => {
  let told = (_: unknown): void => {};
  const reason = new Promise<unknown>((resolve) => told = resolve);
  await using site = new Site((request) => {
    request.signal.addEventListener("abort", () => told(request.signal.reason));
    return new Promise<Response>(() => {});
  });
  const conn = await site.dial();
  await conn.write(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  await new Promise((resolve) => setTimeout(resolve, 5));
  conn.close();
  assertEquals((await reason as Error).name, "AbortError");
});

const MALFORMED: Readonly<Record<string, string>> = {
  "noise": "\0\x01\x02 noise\r\n\r\n",
  "no HTTP version": "GET / NOPE\r\n\r\n",
  "a host with a path": "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
  "no host": "GET / HTTP/1.1\r\n\r\n",
  "two hosts": "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "one host twice": "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
  "two hosts beside a whole URL": "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "a target that is no path": "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
  "two lengths": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
};
for (const [name, text] of Object.entries(MALFORMED)) {
  test(`serve answers 400 to ${name}, and closes`, limit, async () => {
    await using site = new Site(() => new Response("never"));
    using conn = await site.dial();
    await conn.write(bytes(text));
    assertMatch(await readText(conn), /^HTTP\/1\.1 400 /);
  });
}

const LARGE: Readonly<Record<string, string>> = {
  "a field": `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(100_000)}\r\n\r\n`,
  "a target": `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
};
for (const [name, text] of Object.entries(LARGE)) {
  test(`serve answers 431 to ${name} that is too large, and closes`, limit, async () => {
    await using site = new Site(() => new Response("never"));
    using conn = await site.dial();
    const written = conn.write(bytes(text)).catch(() => {}); // not all of it is read
    assertMatch(await readText(conn), /^HTTP\/1\.1 431 /);
    await written;
  });
}

test("serve and fetch send text of a header as Latin-1", limit, async () => {
  const text = "\u00fc\u0080\u00ff";
  await using site = new Site(({ headers }) => {
    const y = headers.get("x") ?? text;
    return new Response(y === text ? "as sent" : y, { statusText: text, headers: { y } });
  });
  const response = await site.fetch("/", { headers: { x: text } });
  assertEquals([response.headers.get("y"), await response.text()], [text, "as sent"]);
  using conn = await site.dial();
  await conn.write(bytes("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  const head = await readLatin1(conn);
  assertMatch(head, /^HTTP\/1.1 200 \u00fc\u0080\u00ff\r\n(?:[^]*\r\n)?y: \u00fc\u0080\u00ff\r\n/);
});

test("serve and fetch refuse text of a header beyond Latin-1", limit, async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown): Response => new Response(`${errors.push(error)}`);
  await using site = new Site(() => new Response("x", { headers: { y: "\u0100" } }), { onError });
  await assertRejects(() => site.fetch("/", { headers: { x: "\u0100" } }), TypeError);
  assertEquals([site.dials, await (await site.fetch("/")).text()], [0, "1"]);
  assertInstanceOf(errors[0], TypeError);
});

async function readLatin1(conn: Conn): Promise<string> {
  let text = "";
  const p = new Uint8Array(4096);
  for (let n = await conn.read(p); n !== null; n = await conn.read(p)) {
    text += String.fromCharCode(...p.subarray(0, n));
  }
  return text;
}

test("serve and fetch carry as many fields as fit into a head", limit, async () => {
  const fields = Array.from({ length: 1200 }, (_, i): [string, string] => [`x${i}`, ""]);
  const count = (headers: Headers): number =>
    Array.from(headers.keys()).filter((name) => name.startsWith("x")).length;
  await using site = new Site(({ headers }) => new Response(`${count(headers)}`, { headers }));
  const response = await site.fetch("/", { headers: fields });
  assertEquals([await response.text(), count(response.headers)], ["1200", 1200]);
});

test("serve closes a connection without a request", limit, async () => {
  await using site = new Site(() => new Response("hello"), { idleTimeoutMs: 300 });
  using conn = await site.dial();
  await conn.write(bytes("GET / HTTP/1.1\r\nHos"));
  assertEquals(await readText(conn), "");
});

test("HttpServer.shutdown lets a request finish", limit, async () => {
  let answer = (_: Response): void => {};
  let begun = (): void => {};
  const request = new Promise<void>((resolve) => begun = resolve);
  await using site = new Site(() => new Promise((resolve) => (answer = resolve, begun())));
  using idle = await site.dial();
  const fetched = site.fetch("/");
  await request;
  const over = site.server.shutdown();
  assertEquals(await readText(idle), "");
  answer(new Response("at last"));
  assertEquals(await (await fetched).text(), "at last");
  await over;
  await assertRejects(() => site.dial(), VsockError);
});

test("HttpServer.shutdown says so to a request that comes after it", limit, async () => {
  const answers: ((response: Response) => void)[] = [];
  const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using site = new Site(() =>
    new Promise((resolve) => asked[answers.push(resolve) - 1]!.resolve())
  );
  using conn = await site.dial();
  await conn.write(bytes("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"));
  await asked[0]!.promise;
  const over = site.server.shutdown();
  await conn.write(bytes("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
  await asked[1]!.promise;
  for (const answer of answers) answer(new Response("ok"));
  const text = await readText(conn);
  assertEquals(text.match(/^connection: .*$/gim), ["Connection: keep-alive", "Connection: close"]);
  await over;
});

test("HttpServer.shutdown says so while descriptors have run out, too", limit, async () => {
  const [transport, address] = [createLoopback(), { cid: 1, port: 4002 }];
  const listener = listen(address, { transport });
  const accept = listener.accept.bind(listener);
  const full = Promise.withResolvers<void>();
  let accepted = 0;
  listener.accept = () => {
    if (accepted++ === 0) return accept();
    full.resolve();
    return Promise.reject(new VsockError("accept", "EMFILE"));
  };
  await using server = serve(listener, () => new Response("ok"));
  using conn = await connect(address, { transport });
  await full.promise;
  const over = server.shutdown();
  await conn.write(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  assertMatch(await readText(conn), /^connection: close$/im);
  await over;
});

test("serve closes at once when its signal aborts", limit, async () => {
  const stop = new AbortController();
  await using site = new Site(() => new Promise<Response>(() => {}), { signal: stop.signal });
  const fetched = site.fetch("/");
  setTimeout(() => stop.abort(), 10);
  const error = await assertRejects(() => fetched, TypeError);
  assertInstanceOf(error.cause, VsockError);
  await site.server.finished;
});

test("serve hands an upgrade over", limit, async () => {
  await using site = new Site(() => new Response("never"), {
    upgrade: (request, socket, head) => {
      socket.write(
        `HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
      );
      socket.write("€ ");
      socket.write(head);
      socket.pipe(socket);
    },
  });
  using conn = await site.dial();
  await conn.write(
    bytes("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: own\r\n\r\nab"),
  );
  await conn.write(bytes("cd"));
  await conn.closeWrite();
  assertMatch(await readText(conn), /^HTTP\/1\.1 101 Yes\r\n[^]*Upgrade: own\r\n\r\n€ abcd$/);
});

test("fetch fails with the error of connect as its cause", limit, async () => {
  await using site = new Site(() => new Response("never"));
  await site.server.shutdown();
  const error = await assertRejects(() => site.fetch("/"), TypeError);
  assertEquals((error.cause as VsockError).code, "ECONNRESET");
});

test("fetch rejects with the reason of its signal", limit, async () => {
  await using site = new Site(() => new Response(source(64 * MIB)));
  const abort = new AbortController();
  const response = await site.fetch("/", { signal: abort.signal });
  const reader = response.body!.getReader();
  await reader.read();
  abort.abort(new RangeError("enough"));
  await assertRejects(async () => {
    while (!(await reader.read()).done);
  }, RangeError);
});

test("serve closes the listener where its signal is aborted already", limit, async () => {
  using listener = listen({ cid: 1, port: 1 }, { transport: createLoopback() });
  const server = serve(listener, () => new Response(), { signal: AbortSignal.abort() });
  await server.finished;
  assertEquals(listener.socket.closed, true);
});

test("HttpServer.unref() holds for connections that come after it", limit, async () => {
  const child = new URL("./unref_child.ts", import.meta.url);
  assertEquals(await runChild(child), "true\n");
});
