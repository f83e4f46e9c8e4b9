/** Two bodies of one connection that are read on after their responses. */
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { assertMatch } from "@std/assert";
import { bytes, readText, Site } from "./helpers.ts";

/** All of the first request, and a part of the second, after which the client is silent. */
const REQUESTS = "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
  "1\r\nx\r\n1\r\nx\r\n0\r\n\r\n" +
  "POST /rest HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx";

/** Reads to the end, the body of `/slow` with a pause in which the other one is begun. */
async function readAll({ url, body }: Request): Promise<void> {
  const reader = body!.getReader();
  await reader.read();
  if (url.endsWith("/slow")) await delay(300);
  while (!(await reader.read()).done);
}

test("serve closes where a client is silent, though another body was read on meanwhile", {
  timeout: 60_000,
}, async () => {
  await using site = new Site((request) => {
    readAll(request).catch(() => {}); // as the client goes
    return new Response("soon");
  }, { idleTimeoutMs: 800 });
  using conn = await site.dial();
  await conn.write(bytes(REQUESTS));
  assertMatch(await readText(conn), /soon.*soon$/s);
});
