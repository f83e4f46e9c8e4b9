import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { bytes, readText, Site } from "./helpers.ts";

const limit = { timeout: 60_000 };

/** Bodies that have a type of their own, and what it begins with. */
const TYPES: readonly [string, () => BodyInit, string][] = [
  ["parameters", () => new URLSearchParams("a=1"), "application/x-www-form-urlencoded"],
  ["a Blob", () => new Blob(["a"], { type: "text/x" }), "text/x"],
  ["a form", () => new FormData(), "multipart/form-data; boundary="],
];
for (const [name, make, type] of TYPES) {
  test(`serve tells the type of ${name}, unless it is given`, limit, async () => {
    const given = { headers: { "content-type": "a/b" } };
    await using site = new Site(({ url }) => new Response(make(), url.endsWith("/") ? {} : given));
    const told = async (path: string): Promise<string | null> =>
      (await site.fetch(path)).headers.get("content-type");
    const own = await told("/");
    assertEquals([own?.startsWith(type), await told("/given")], [true, "a/b"], `${own}`);
  });
}

test("serve closes a connection after a response that says so", limit, async () => {
  const headers = { connection: "x, Close" };
  await using site = new Site(() => new Response("last", { headers }));
  using conn = await site.dial();
  await conn.write(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  const text = await readText(conn);
  assertEquals(text.match(/^connection: .*$/gim), ["Connection: close"]);
  assertMatch(text, /last$/);
});

test("serve sends no field that tells of trailers", limit, async () => {
  await using site = new Site(() => new Response("x", { headers: { trailer: "x-a" } }));
  const response = await site.fetch("/");
  assertEquals([response.status, await response.text()], [200, "x"]);
  assertEquals(response.headers.get("trailer"), null);
});
