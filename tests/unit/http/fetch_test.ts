import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect } from "../../../src/connect.ts";
import type { Conn } from "../../../src/conn.ts";
import { createFetch } from "../../../src/http/fetch.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";
import { bytes, Site, source } from "./helpers.ts";

const limit = { timeout: 60_000 };

test("fetch refuses what is not of http:, and dials nothing", limit, async () => {
  await using site = new Site(() => new Response("never"));
  for (const url of ["https://localhost/", "ws://localhost/", "data:,x"]) {
    await assertRejects(() => site.client.fetch(url), TypeError, "must be of http:");
  }
  assertEquals(site.dials, 0);
});

test("fetch gives a response its URL, clones too", limit, async () => {
  await using site = new Site((request) => new Response(request.url));
  const asked = new URL("http://vm:8080/a/../b?c=1#d");
  for (const input of [asked, asked.href, new Request(asked)]) {
    const response = await site.client.fetch(input);
    const clone = response.clone().clone();
    assertEquals(await response.text(), "http://vm:8080/b?c=1");
    for (const { url } of [response, clone]) assertEquals(url, "http://vm:8080/b?c=1");
    assertEquals(await clone.text(), "http://vm:8080/b?c=1");
  }
  assertEquals((await site.fetch("/", { method: "HEAD" })).url, "http://localhost/");
});

test("fetch takes null for no options, as that of the web does", limit, async () => {
  await using site = new Site(({ method }) => new Response(method));
  const response = await site.client.fetch("http://localhost/", null as unknown as RequestInit);
  assertEquals(await response.text(), "GET");
});

test("fetch takes a Request for its options", limit, async () => {
  await using site = new Site(async ({ method, headers, body }) => {
    return new Response(`${method} ${headers.get("x-a")} ${await new Response(body).text()}`);
  });
  const init = { method: "PUT", headers: { "x-a": "1" } };
  for (const body of ["data", source(4).pipeThrough(new TransformStream())]) {
    const streamed: RequestInit & { duplex: "half" } = { ...init, body, duplex: "half" };
    const response = await site.fetch("/", new Request("http://vm/other", streamed) as RequestInit);
    const text = await response.text();
    assertEquals(text.slice(0, 6), "PUT 1 ");
    assertEquals(text.length, 10);
  }
});

test("fetch gives a redirect, and fails of one where it is to be an error", limit, async () => {
  await using site = new Site(() => Response.redirect("http://vm/there", 307));
  const response = await site.fetch("/");
  assertEquals([response.status, response.headers.get("location")], [307, "http://vm/there"]);
  const failing = (): Promise<Response> => site.fetch("/", { redirect: "error" });
  await assertRejects(failing, TypeError, "the response is a redirect, of status 307");
});

/** Bodies that have a type, and what it begins with. */
const TYPES: readonly [string, () => BodyInit, string][] = [
  ["a string", () => "a", "text/plain;charset=UTF-8"],
  ["parameters", () => new URLSearchParams("a=1"), "application/x-www-form-urlencoded"],
  ["a Blob", () => new Blob(["a"], { type: "text/x" }), "text/x"],
  ["a form", () => new FormData(), "multipart/form-data; boundary="],
];
for (const [name, make, type] of TYPES) {
  test(`fetch tells the type of ${name}, unless it is given`, limit, async () => {
    await using site = new Site(({ headers }) => new Response(headers.get("content-type")));
    const told = async (headers: HeadersInit): Promise<string> => {
      return await (await site.fetch("/", { method: "POST", body: make(), headers })).text();
    };
    const own = await told({});
    assertEquals([own.startsWith(type), await told({ "content-type": "a/b" })], [true, "a/b"], own);
  });
}

/** Bodies, and whether their lengths are known as they are, and as a Request's own. */
const LENGTHS: readonly [string, () => BodyInit, boolean, boolean][] = [
  ["a string", () => "h\u00e9llo", true, true],
  ["an empty string", () => "", true, true],
  ["bytes", () => new Uint8Array(5), true, true],
  ["parameters", () => new URLSearchParams("a=1"), true, true],
  ["a Blob", () => new Blob(["abc", new Uint8Array(200_000)]), true, false],
  ["an empty Blob", () => new Blob([]), true, false],
  ["a form", form, true, false],
  ["a stream", () => source(5), false, false],
];
for (const [name, make, known, inRequest] of LENGTHS) {
  test(`fetch tells the length of ${name} where it is known`, limit, async () => {
    await using site = new Site(async (request) => {
      const told = ["content-length", "transfer-encoding"].map((n) => request.headers.get(n));
      return Response.json([...told, `${(await request.bytes()).length}`]);
    });
    const init: RequestInit & { duplex: "half" } = { method: "POST", duplex: "half" };
    const [told, chunked, length] = await (await site.fetch("/", { ...init, body: make() })).json();
    assertEquals([told, chunked], known ? [length, null] : [null, "chunked"]);
    const request = new Request("http://a/", { ...init, body: make() });
    const [own, ownChunked, ownLength] = await (await site.client.fetch(request)).json();
    if (inRequest || own !== null) assertEquals([own, ownChunked], [ownLength, null]);
  });
}

function form(): FormData {
  const form = new FormData();
  form.append("a", "b");
  form.append("file", new Blob([new Uint8Array(100_000)]), "name");
  return form;
}

test("fetch has the answer of a server that reads no body and closes", limit, async () => {
  using listener = listen({ hostname: "127.0.0.1", port: 0 });
  using client = createFetch({ connect: () => connect(listener.addr) });
  const body = source(4 << 20);
  const answer = client.fetch("http://a/", { method: "POST", body, duplex: "half" } as RequestInit);
  using server = await listener.accept();
  await server.read(new Uint8Array(100));
  await server.write(bytes("HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"));
  server.close(); // with bytes unread
  const response = await answer;
  assertEquals([response.status, await response.text()], [413, "no"]);
});

test("fetch fails with the error of its own body as the cause", limit, async () => {
  await using site = new Site(async (request) => new Response(await request.text()));
  const why = new RangeError("no more");
  let pulls = 0;
  const body = new ReadableStream({
    pull(controller): void {
      if (pulls++ === 0) controller.enqueue(bytes("part"));
      else controller.error(why);
    },
  });
  const error = await assertRejects(
    () => site.fetch("/", { method: "POST", body, duplex: "half" }),
    TypeError,
    "Cannot fetch: the body of the request failed: no more",
  );
  assertEquals(error.cause, why);
});

test("fetch sends no chunk that is detached", limit, async () => {
  await using site = new Site(async (request) => new Response(await request.text()));
  const body = new ReadableStream({
    start(controller): void {
      const gone = bytes("gone");
      for (const chunk of [gone, bytes("here")]) controller.enqueue(chunk);
      gone.buffer.transfer();
      controller.close();
    },
  });
  const response = await site.fetch("/", { method: "POST", body, duplex: "half" });
  assertEquals(await response.text(), "here");
});

test("fetch cancels its body where it cannot dial", limit, async () => {
  const cancelled = Promise.withResolvers<unknown>();
  await using site = new Site(() => new Response("never"), {}, {
    connect: () => Promise.reject(new RangeError("no")),
  });
  const body = new ReadableStream({ cancel: cancelled.resolve }, { highWaterMark: 0 });
  const init = { method: "POST", body, duplex: "half" } as const;
  const error = await assertRejects(() => site.fetch("/", init), TypeError, "connect failed: no");
  assertEquals(await cancelled.promise, error);
});

test("fetch asks once where the body of the response fails", limit, async () => {
  for (const good of [0, 1, 2, 3]) {
    let asked = 0;
    await using site = new Site((request) => {
      if (request.url.endsWith("/good")) return new Response("good");
      asked += 1;
      let pulls = 0;
      const body = new ReadableStream({
        pull(controller): void {
          if (pulls++ < good) controller.enqueue(bytes("part"));
          else controller.error(new RangeError("body"));
        },
      });
      return new Response(body);
    }, { onError: () => new Response("sorry", { status: 500 }) });
    await (await site.fetch("/good")).text();
    // Before its first byte it can still be told by a status.
    const told = await (async () => (await site.fetch("/")).text())().catch(String);
    assertEquals(told === "sorry", good < 2, told);
    assertEquals(asked, 1);
  }
});

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const LOST = "TypeError: Cannot fetch: the connection failed: ";

/**
 * Fetches twice from a server that sends these texts, one a request, and closes at an empty one.
 */
async function fetchTwice(
  answers: readonly string[],
  init: RequestInit | (() => RequestInit) = {},
  read = (response: Response): Promise<string> => response.text(),
): Promise<[string, number]> {
  const [transport, address] = [createLoopback(), { cid: 1, port: 4002 }];
  using listener = listen(address, { transport });
  let asked = 0;
  const answer = async (conn: Conn): Promise<void> => {
    while (await conn.read(new Uint8Array(4096)) !== null) {
      const text = answers[asked++]!;
      if (text !== "") await conn.write(bytes(text));
      if (text !== OK) return conn.close();
    }
  };
  (async () => {
    for (;;) answer(await listener.accept());
  })().catch(() => {});
  using client = createFetch({ connect: () => connect(address, { transport }) });
  let told = "";
  for (let i = 0; i < 2; i++) {
    const given = typeof init === "function" ? init() : init;
    told = await client.fetch("http://vm/", given).then(read).catch(String);
  }
  return [told, asked];
}

test("fetch asks again where a kept connection was closed before an answer", limit, async () => {
  assertEquals(await fetchTwice([OK, "", OK]), ["ok", 3]);
});

test("fetch does not ask again after a byte of an answer", limit, async () => {
  const [told, asked] = await fetchTwice([OK, "H", OK]);
  assertEquals([told.startsWith(LOST), asked], [true, 2]);
});

test("fetch fails where a Response cannot be the answer", limit, async () => {
  const [told] = await fetchTwice([OK, "HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nok"]);
  assertMatch(told, /^TypeError: Cannot fetch: the response is none of the web's: .*status/);
});

test("fetch has all of a response of several chunks that come at once", limit, async () => {
  const chunks = ["one ", "two ", "three"].map((text) => `${text.length}\r\n${text}\r\n`).join("");
  const answer = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
  assertEquals(await fetchTwice([OK, answer]), ["one two three", 2]);
});

test("fetch has the head of an answer whose body cannot be understood", limit, async () => {
  const answer = "HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\nno size";
  const read = async (response: Response): Promise<string> =>
    `${response.status} ${await response.text().catch(String)}`;
  const [told] = await fetchTwice([OK, answer], {}, read);
  assertMatch(told, /^409 TypeError: Cannot fetch: the connection failed: /);
});

for (const method of ["OPTIONS", "PUT", "DELETE"]) {
  test(`fetch asks again by ${method}`, limit, async () => {
    const init = { method, body: method === "PUT" ? "all" : null };
    const [told, asked] = await fetchTwice([OK, "", OK], init);
    assertEquals([told, asked], ["ok", 3]);
  });
}

test("fetch keeps no connection for a request that node:http refuses", limit, async () => {
  await using site = new Site(() => new Response("ok"), {}, { maxConnections: 1 });
  let reason: unknown;
  const body = new ReadableStream({ cancel: (cause) => void (reason = cause) });
  const init = { method: "POST", body, duplex: "half", headers: { x: "\x01" } } as const;
  const error = await assertRejects(() => site.fetch("/", init), TypeError, "Cannot fetch: ");
  assertEquals(reason, error.cause);
  assertEquals(await (await site.fetch("/")).text(), "ok");
});

test("fetch asks again with a Blob", limit, async () => {
  const init = { method: "PUT", body: new Blob(["all"]) };
  assertEquals(await fetchTwice([OK, "", OK], init), ["ok", 3]);
});

const ONCE: Readonly<Record<string, () => RequestInit>> = {
  "POST": () => ({ method: "POST", body: "once" }),
  "a stream": () => {
    const stream: RequestInit & { duplex: "half" } = {
      method: "PUT",
      body: source(9),
      duplex: "half",
    };
    return stream;
  },
};
for (const [name, init] of Object.entries(ONCE)) {
  test(`fetch does not ask again with ${name}`, limit, async () => {
    const [told, asked] = await fetchTwice([OK, "", OK], init);
    assertEquals([told.startsWith(LOST), asked], [true, 2]);
  });
}

test("fetch asks again on a new connection where all kept ones are stale", limit, async () => {
  const [transport, address] = [createLoopback(), { cid: 1, port: 4003 }];
  using listener = listen(address, { transport });
  let [dials, asked] = [0, 0];
  const answer = async (conn: Conn, isStale: boolean): Promise<void> => {
    for (let first = true; await conn.read(new Uint8Array(4096)) !== null; first = false) {
      asked += 1;
      if (isStale && !first) return conn.close();
      await conn.write(bytes(OK));
    }
  };
  (async () => {
    for (;;) answer(await listener.accept(), ++dials <= 3);
  })().catch(() => {});
  using client = createFetch({ connect: () => connect(address, { transport }) });
  const fetchText = async (): Promise<string> => await (await client.fetch("http://vm/")).text();
  await Promise.all([fetchText(), fetchText(), fetchText()]);
  asked = 0;
  assertEquals([await fetchText(), asked, dials], ["ok", 2, 4]);
});

test("fetch takes a response that ends with a kept connection", limit, async () => {
  assertEquals(await fetchTwice([OK, "HTTP/1.1 200 OK\r\n\r\nall"]), ["all", 2]);
});

test("fetch fails where a kept connection is closed amid a response", limit, async () => {
  const [told, asked] = await fetchTwice([OK, OK.slice(0, -1), OK]);
  assertEquals([told.startsWith(LOST), asked], [true, 2]);
});

test("fetch does not ask again on a new connection", limit, async () => {
  assertEquals(await fetchTwice(["", OK]), ["ok", 2]); // the first one failed
});
