import process from "node:process";
import { test } from "node:test";
import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { Conn } from "../../../src/conn.ts";
import { VsockError } from "../../../src/error.ts";
import type { ServeOptions } from "../../../src/http/serve.ts";
import { bytes, readText, Site, source } from "./helpers.ts";

const MIB = 1024 * 1024;
const limit = { timeout: 60_000 };

/** Bodies of one chunk, and the length that is told of each. */
const WHOLE: Readonly<Record<string, [() => Response, string]>> = {
  "a string": [() => new Response("héllo"), "6"],
  "bytes": [() => new Response(new Uint8Array(5_000)), "5000"],
  "JSON": [() => Response.json({ a: 1 }), "7"],
  "a long string": [() => new Response("x".repeat(100_000)), "100000"],
  "long bytes": [() => new Response(new Uint8Array(2 * MIB)), "2097152"],
  "an empty string": [() => new Response(""), "0"],
  "a stream with a length": [
    () => new Response(chunks("ab", "cd"), { headers: { "content-length": "4" } }),
    "4",
  ],
};
for (const [name, [make, length]] of Object.entries(WHOLE)) {
  test(`serve tells the length of ${name}, for HEAD too`, limit, async () => {
    await using site = new Site(make, {}, { maxConnections: 1 });
    const { headers, body } = await site.fetch("/", { method: "HEAD" });
    assertEquals([headers.get("content-length"), body], [length, null]);
    const response = await site.fetch("/");
    const told = ["content-length", "transfer-encoding"].map((n) => response.headers.get(n));
    assertEquals(told, [length, null]);
    assertEquals(await response.bytes(), await make().bytes());
    assertEquals(site.dials, 1);
  });
}

/** Responses without a body, and the lengths that are told for GET and for HEAD. */
const BODILESS: Readonly<Record<string, [() => Response, string | null, string | null]>> = {
  "null": [() => new Response(null), "0", null],
  "a redirect": [() => Response.redirect("http://a/b"), "0", null],
  "status 204": [() => new Response(null, { status: 204 }), null, null],
  "status 205": [() => new Response(null, { status: 205 }), "0", null],
  "status 304": [() => new Response(null, { status: 304 }), null, null],
  "status 304 with a length": [
    () => new Response(null, { status: 304, headers: { "content-length": "5" } }),
    "5",
    "5",
  ],
};
for (const [name, [make, forGet, forHead]] of Object.entries(BODILESS)) {
  test(`serve sends no chunks for ${name}`, limit, async () => {
    await using site = new Site(make, {}, { maxConnections: 1 });
    for (const [method, length] of [["GET", forGet], ["HEAD", forHead]] as const) {
      const response = await site.fetch("/", { method });
      const told = ["content-length", "transfer-encoding"].map((n) => response.headers.get(n));
      assertEquals([method, ...told], [method, length, null]);
      assertEquals(await response.text(), "");
    }
    assertEquals(site.dials, 1);
  });
}

test("serve sends a body of several chunks as chunks", limit, async () => {
  await using site = new Site(() => new Response(chunks("ab", "cd", "e")), {}, {
    maxConnections: 1,
  });
  const head = await site.fetch("/", { method: "HEAD" });
  assertEquals(head.headers.get("content-length"), null);
  const response = await site.fetch("/");
  assertEquals(response.headers.get("transfer-encoding"), "chunked");
  assertEquals(await response.text(), "abcde");
});

test("serve answers HEAD without a wait for the body", limit, async () => {
  await using site = new Site(() => new Response(new ReadableStream()));
  assertEquals((await site.fetch("/", { method: "HEAD" })).status, 200);
});

test("serve does not let the first chunk wait for the second", limit, async () => {
  let next = (_: string): void => {};
  await using site = new Site(() => {
    const body = new ReadableStream({
      start(controller): void {
        controller.enqueue(bytes("first"));
        next = (text): void => controller.enqueue(bytes(text));
      },
    });
    return new Response(body);
  });
  const reader = (await site.fetch("/")).body!.getReader();
  assertEquals((await reader.read()).value, bytes("first"));
  next("second");
  assertEquals((await reader.read()).value, bytes("second"));
  await reader.cancel();
});

test("serve does not let the head wait for the first chunk", limit, async () => {
  let end = (): void => {};
  await using site = new Site(() => {
    return new Response(new ReadableStream({ start: (body) => void (end = () => body.close()) }));
  });
  const response = await site.fetch("/");
  end();
  assertEquals(await response.text(), "");
});

/** Responses whose content-length is wrong, and what is told of them before anything is sent. */
const WRONG: Readonly<Record<string, [() => Response, string]>> = {
  "is more than a string has": [() => new Response("x", lengthIs("999")), "of 1 bytes"],
  "is less than a string has": [() => new Response("four", lengthIs("2")), "of 4 bytes"],
  "is told of no body": [() => new Response(null, lengthIs("5")), "of 0 bytes"],
  "is no number": [() => new Response("x", lengthIs("1, 1")), "must be a number of bytes"],
};
for (const [name, [make, message]] of Object.entries(WRONG)) {
  test(`serve tells onError of a content-length that ${name}`, limit, async () => {
    const errors: unknown[] = [];
    const onError = (error: unknown): Response => {
      errors.push(error);
      return new Response("sorry", { status: 500 });
    };
    await using site = new Site(make, { onError });
    const response = await site.fetch("/");
    assertEquals([response.status, await response.text(), site.dials], [500, "sorry", 1]);
    assertMatch(`${errors}`, new RegExp(`^TypeError: Cannot .*${message}`));
  });
}

/** Responses of a body that goes on, none of which can be sent. */
const ENDLESS: Readonly<Record<string, (body: ReadableStream) => Response | Promise<Response>>> = {
  "a content-length that is no number": (body) => new Response(body, lengthIs("abc")),
  "a header that node:http refuses": (body) => new Response(body, { headers: { a: "\x01" } }),
  "a part that was read": async (body) => {
    const response = new Response(body);
    const reader = response.body!.getReader();
    await reader.read();
    reader.releaseLock();
    return response;
  },
};
for (const [name, make] of Object.entries(ENDLESS)) {
  test(`serve cancels the body of a response with ${name}`, limit, async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const onError = (error: unknown): Response => new Response(`${error}`, { status: 500 });
    await using site = new Site(() => make(endless(cancelled.resolve)), { onError });
    const response = await site.fetch("/");
    assertEquals([response.status, await response.text()], [500, `${await cancelled.promise}`]);
  });
}

test("serve cancels the body of what onError gives after the head is sent", limit, async () => {
  const cancelled = Promise.withResolvers<unknown>();
  const onError = (): Response => new Response(endless(cancelled.resolve));
  await using site = new Site(() => new Response(chunks("ab", "cd"), lengthIs("5")), { onError });
  const response = await site.fetch("/");
  await assertRejects(() => response.text(), TypeError, "closed before the whole answer");
  await cancelled.promise;
});

/** Streams whose content-length is wrong, which their ends tell. */
const WRONG_STREAMS: Readonly<Record<string, [string, string]>> = {
  "short of its content-length": ["5", "of 4 bytes"],
  "beyond its content-length": ["3", "of 4 or more bytes"],
};
for (const [name, [length, message]] of Object.entries(WRONG_STREAMS)) {
  test(`serve resets a response that is ${name}, and tells onError`, limit, async () => {
    const errors: unknown[] = [];
    const onError = (error: unknown): Response => {
      errors.push(error);
      return new Response("late");
    };
    await using site = new Site(() => new Response(chunks("ab", "cd"), lengthIs(length)), {
      onError,
    });
    const response = await site.fetch("/");
    await assertRejects(() => response.text(), TypeError, "ECONNRESET");
    assertMatch(`${errors}`, new RegExp(`^TypeError: Cannot .*${message}`));
  });
}

/** Bodies that cannot be sent, without a byte that went before. */
const BAD: Readonly<Record<string, () => ReadableStream>> = {
  "fails late": () => {
    return new ReadableStream({
      async pull(): Promise<void> {
        await setImmediate();
        throw new RangeError("body");
      },
    });
  },
  "is of no bytes": () => {
    return new ReadableStream({
      start: (body) => body.enqueue("text"),
    });
  },
};
for (const [name, make] of Object.entries(BAD)) {
  test(`serve is asked once where a body ${name}`, limit, async () => {
    let asked = 0;
    await using site = new Site((request) => {
      if (request.url.endsWith("/good")) return new Response("good");
      asked += 1;
      return new Response(make());
    }, { onError: () => new Response("late") });
    await (await site.fetch("/good")).text();
    const response = await site.fetch("/");
    await assertRejects(() => response.text(), TypeError, "ECONNRESET");
    assertEquals(asked, 1);
  });
}

test("serve writes head and body of a known length once, without a chunk", limit, async () => {
  await using site = new Site(() => new Response("hello"));
  using conn = await site.dial();
  await conn.write(bytes("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  const text = await readText(conn);
  assertEquals(text.slice(text.indexOf("\r\n\r\n")), "\r\n\r\nhello");
});

function lengthIs(length: string): ResponseInit {
  return { headers: { "content-length": length } };
}

/** A stream that has a chunk whenever it is asked; it takes its time to be cancelled. */
function endless(onCancel: (reason: unknown) => void): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: (controller) => controller.enqueue(bytes("more")),
    cancel(reason): Promise<void> {
      onCancel(reason);
      return new Promise(() => {});
    },
  });
}

/** A stream whose chunks take a turn of the event loop each. */
function chunks(...texts: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller): Promise<void> {
      await setImmediate();
      const text = texts.shift();
      if (text === undefined) controller.close();
      else controller.enqueue(bytes(text));
    },
  }, { highWaterMark: 0 });
}

/** What handlers read of a body before they answer. */
const LEFT: Readonly<Record<string, (body: ReadableStream) => Promise<void>>> = {
  "nothing": () => Promise.resolve(),
  "nothing, and cancel it": (body) => body.cancel(),
  "a part, and cancel the rest": async (body) => {
    for await (const _ of body) break;
  },
};
for (const [name, read] of Object.entries(LEFT)) {
  test(`serve discards a body of which a handler reads ${name}`, limit, async () => {
    await using site = new Site(
      async (request) => {
        await read(request.body!);
        return new Response("enough");
      },
      {},
      { maxConnections: 1 },
    );
    for (const length of [131_072, MIB]) {
      for (const make of [source, (length: number) => new Uint8Array(length)]) {
        for (let i = 0; i < 3; i++) {
          const init = { method: "POST", body: make(length), duplex: "half" } as const;
          assertEquals(await (await site.fetch("/", init)).text(), "enough");
        }
      }
    }
    assertEquals(site.dials, 1);
  });
}

test("serve discards what is left of a body once its reader has stopped", limit, async () => {
  const readers: ReadableStreamDefaultReader<Uint8Array>[] = [];
  await using site = new Site(
    async (request) => {
      const reader = request.body!.getReader();
      await reader.read();
      readers.push(reader);
      return new Response("enough");
    },
    {},
    { maxConnections: 1 },
  );
  for (const body of [source(70_000), source(4 * MIB), new Uint8Array(4 * MIB)]) {
    const init = { method: "POST", body, duplex: "half" } as const;
    assertEquals(await (await site.fetch("/", init)).text(), "enough");
  }
  assertEquals((await site.fetch("/", { method: "POST", body: "last" })).status, 200);
  assertEquals(site.dials, 1);
  assertEquals((await readers[0]!.read()).done, false); // all of which had come
  const readOn = (): Promise<unknown> => readers[1]!.read();
  await assertRejects(readOn, TypeError, "Cannot read on: the response was sent");
});

test("serve leaves a body to who reads on after the response", limit, async () => {
  const told = Promise.withResolvers<number>();
  await using site = new Site(async (request) => {
    const body = request.body!.values();
    let length = (await body.next()).value!.length;
    const readOn = async (): Promise<void> => {
      for await (const chunk of body) {
        await setImmediate();
        length += chunk.length;
      }
      told.resolve(length);
    };
    readOn().catch(told.reject);
    return new Response("soon");
  });
  await (await site.fetch("/", { method: "POST", body: source(MIB), duplex: "half" })).text();
  assertEquals(await told.promise, MIB);
});

const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n";

/** A site that answers at once, and what becomes of reading the body on. */
function soon(options: ServeOptions = {}): [Site, Promise<string>] {
  const told = Promise.withResolvers<string>();
  const handler = (request: Request): Response => {
    request.text().then(told.resolve, (error) => told.resolve(`${error}`));
    return new Response("soon");
  };
  return [new Site(handler, options), told.promise];
}

test("serve lets a body be read on for longer than a connection may idle", limit, async () => {
  const [site, told] = soon({ idleTimeoutMs: 1_000 });
  await using _site = site;
  using conn = await site.dial();
  await conn.write(bytes(POST));
  for (let i = 0; i < 10; i++) {
    await delay(150);
    await conn.write(bytes("xx"));
  }
  assertEquals(await told, "x".repeat(20));
  assertMatch(await readText(conn), /soon$/); // and closes it then
});

test("serve closes where a body is read on whose client is silent", limit, async () => {
  for (const head of ["", "Connection: close\r\n"]) {
    const [site, told] = soon({ idleTimeoutMs: 300 });
    await using _site = site;
    using conn = await site.dial();
    await conn.write(bytes(`${POST.replace("Host", `${head}Host`)}xx`));
    assertMatch(await told, /the connection closed before the whole body had come/);
    assertMatch(await readText(conn), /soon$/);
  }
});

test("serve lets a body be read on after the last response of a connection", limit, async () => {
  const [site, told] = soon();
  await using _site = site;
  using conn = await site.dial();
  await conn.write(bytes(POST.replace("Host", "Connection: close\r\nHost")));
  assertMatch(await readText(conn), /soon$/);
  await conn.write(bytes("x".repeat(20)));
  assertEquals(await told, "x".repeat(20));
  await assertRejects(async () => { // and then it is over
    for (;;) await conn.write(bytes("\r\n"), { timeoutMs: 10_000 }).then(() => delay(1));
  }, VsockError);
});

test("HttpServer.shutdown lets a body be read on", limit, async () => {
  const [site, told] = soon();
  await using _site = site;
  using conn = await site.dial();
  await conn.write(bytes(POST));
  assertMatch(await readOnce(conn), /soon$/);
  const over = site.server.shutdown();
  await delay(20);
  await conn.write(bytes("x".repeat(20)));
  assertEquals(await told, "x".repeat(20));
  await over;
});

test(
  "serve leaves a body that has come to its reader where its client is gone",
  limit,
  async () => {
    const told = Promise.withResolvers<string>();
    const goOn = Promise.withResolvers<void>();
    const handler = (request: Request): Response => {
      const body = request.body!.values();
      const readOn = async (): Promise<void> => {
        const text = new TextDecoder().decode((await body.next()).value);
        await goOn.promise;
        told.resolve(
          text + await Array.fromAsync(body, (chunk) => new TextDecoder().decode(chunk)),
        );
      };
      readOn().catch((error) => told.resolve(`${error}`));
      return new Response("soon");
    };
    await using site = new Site(handler);
    using conn = await site.dial();
    await conn.write(bytes(POST + "begun"));
    assertMatch(await readOnce(conn), /soon$/);
    await conn.write(bytes("x".repeat(15)));
    await conn.closeWrite();
    await delay(20); // the end comes after the body
    goOn.resolve();
    assertEquals(await told.promise, "begun" + "x".repeat(15));
  },
);

test("serve fails a body that is read on where its client is gone", limit, async () => {
  const [site, told] = soon();
  await using _site = site;
  const conn = await site.dial();
  await conn.write(bytes(POST));
  assertMatch(await readOnce(conn), /soon$/);
  conn.close();
  assertMatch(await told, /ECONNRESET.*the connection closed before the whole body/);
});

test("serve fails a body that is read on late with what has ended it", limit, async () => {
  const told = Promise.withResolvers<ReadableStreamDefaultReader>();
  await using site = new Site(async (request) => {
    const reader = request.body!.getReader();
    await reader.read();
    told.resolve(reader);
    return new Response("soon");
  });
  const conn = await site.dial();
  await conn.write(bytes(POST + "begun"));
  assertMatch(await readOnce(conn), /soon$/);
  conn.close();
  await delay(2_200); // more than a reader may pause
  const reader = await told.promise;
  assertEquals((await assertRejects(() => reader.read(), VsockError)).code, "ECONNRESET");
});

test("serve leaves nothing on a connection of a body that was read on", limit, async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on("warning", onWarning);
  const [site] = soon();
  await using _site = site;
  using conn = await site.dial();
  for (let count = 0; count < 40; count++) {
    await conn.write(bytes(POST));
    assertMatch(await readOnce(conn), /soon$/);
    await conn.write(bytes("x".repeat(20)));
  }
  await delay(0); // warnings come then
  process.off("warning", onWarning);
  assertEquals(warnings, []);
});

test("serve discards the body of a GET", limit, async () => {
  await using site = new Site(({ url }) => new Response(url));
  using conn = await site.dial();
  const half = `10000\r\n${"x".repeat(65_536)}\r\n`;
  await conn.write(bytes("GET /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
  await conn.write(bytes(half + "10000\r\n"));
  assertMatch(await readOnce(conn), /\/1$/);
  await conn.write(bytes(half.slice(7) + "0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
  assertMatch(await readOnce(conn), /\/2$/);
});

test("serve fails a body that a handler begins to read after its response", limit, async () => {
  const told = Promise.withResolvers<Promise<Uint8Array>>();
  await using site = new Site((request, { completed }) => {
    completed.then(() => {
      const read = request.bytes();
      read.catch(() => {});
      told.resolve(read);
    });
    return new Response("soon");
  });
  await (await site.fetch("/", { method: "POST", body: new Uint8Array(MIB) })).text();
  await assertRejects(() => told.promise, TypeError, "must be begun before the response is sent");
});

test("fetch sends all of a body whose response comes first", limit, async () => {
  const told = Promise.withResolvers<Uint8Array>();
  await using site = new Site((request) => {
    request.bytes().then(told.resolve, told.reject);
    return new Response("soon");
  });
  await (await site.fetch("/", { method: "POST", body: source(MIB), duplex: "half" })).text();
  assertEquals((await told.promise).length, MIB);
});

/** What comes by one read. */
async function readOnce(conn: Conn): Promise<string> {
  const p = new Uint8Array(4096);
  return new TextDecoder().decode(p.subarray(0, await conn.read(p) ?? 0));
}
