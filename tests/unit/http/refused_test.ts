import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { assertEquals, assertMatch } from "@std/assert";
import type { ServeOptions } from "../../../src/http/serve.ts";
import { bytes, readText, Site } from "./helpers.ts";

const limit = { timeout: 60_000 };
const NEXT = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

/** A site that takes upgrades and tells what its handler was asked; `/slow` takes its time. */
function siteThat(asked: string[], options: ServeOptions = {}): Site {
  const handler = async (request: Request): Promise<Response> => {
    const path = new URL(request.url).pathname;
    asked.push(path);
    if (path === "/slow") await delay(20);
    return new Response(`${path}: ${await request.text()};`);
  };
  return new Site(handler, options);
}

/** All that is answered to `text`: the first line of each response and its body. */
async function answersTo(site: Site, text: string): Promise<string[]> {
  using conn = await site.dial();
  await conn.write(bytes(text));
  const answers = (await readText(conn)).split(/(?=HTTP\/1\.1 )/);
  return answers.map((answer) => answer.replace(/^HTTP\/1\.1 (.*)\r\n[^]*\r\n\r\n/, "$1 "));
}

/** What a client may send after a request that is under way, none of it a request. */
const AFTER: Readonly<Record<string, string>> = {
  "noise": "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n\0\x01\x02 noise\r\n\r\n",
  "CONNECT": "GET /slow HTTP/1.1\r\nHost: a\r\n\r\nCONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
  "more than the last request": `GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${NEXT}`,
};
for (const [name, text] of Object.entries(AFTER)) {
  test(`serve answers what came before ${name}, and closes`, limit, async () => {
    const asked: string[] = [];
    await using site = siteThat(asked);
    assertEquals([await answersTo(site, text), asked], [["200 OK /slow: ;"], ["/slow"]]);
  });
}

/** Bodies whose ends nobody can tell. */
const BODIES: Readonly<Record<string, string>> = {
  "of chunks without a size": "Transfer-Encoding: chunked\r\n\r\nno size\r\n",
  "of no chunks": "Transfer-Encoding: identity\r\n\r\n",
  "of an empty encoding": "Transfer-Encoding: \r\n\r\n",
};
for (const [name, text] of Object.entries(BODIES)) {
  test(`serve answers 400 to a body ${name}, and asks for nothing after it`, limit, async () => {
    const asked: string[] = [];
    await using site = siteThat(asked, { onError: () => new Response("failed") });
    const [answer, ...others] = await answersTo(
      site,
      `POST /body HTTP/1.1\r\nHost: a\r\n${text}${NEXT}`,
    );
    assertMatch(answer!, /^400 Bad Request/);
    assertEquals([others, asked.includes("/next")], [[], false]);
  });
}

test("serve asks for nothing after a request that it refuses", limit, async () => {
  const asked: string[] = [];
  await using site = siteThat(asked);
  const answers = await answersTo(site, `POST / HTTP/1.1\r\nHost: a/b\r\n\r\n${NEXT}`);
  assertMatch(answers.join(), /^400 Bad Request/);
  assertEquals([answers.length, asked], [1, []]);
});

test("serve answers 501 to CONNECT, and closes", limit, async () => {
  const asked: string[] = [];
  await using site = siteThat(asked);
  const answers = await answersTo(site, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
  assertEquals([answers, asked], [["501 Not Implemented "], []]);
});

const upgrade: ServeOptions["upgrade"] = (_, socket) => {
  socket.end("HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\n\r\n");
};
const fields = (to: string): string =>
  `Host: a\r\nConnection: upgrade, close\r\nUpgrade: ${to}\r\n\r\n`;

test("serve hands no h2c over, but answers it", limit, async () => {
  const asked: string[] = [];
  await using site = siteThat(asked, { upgrade });
  const to = async (name: string): Promise<string> =>
    (await answersTo(site, `GET /up HTTP/1.1\r\n${fields(name)}`)).join();
  assertEquals([await to("h2c"), await to("H2C")], ["200 OK /up: ;", "200 OK /up: ;"]);
  assertEquals(await to("websocket"), "426 Upgrade Required ");
});

test("serve hands no upgrade over while a request before it is under way", limit, async () => {
  const asked: string[] = [];
  await using site = siteThat(asked, { upgrade });
  const slow = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
  const answers = await answersTo(site, `${slow}GET /up HTTP/1.1\r\n${fields("websocket")}`);
  assertEquals(answers, ["200 OK /slow: ;", "200 OK /up: ;"]);
});

test("serve closes the connection of an upgrade that throws, and logs why", limit, async (t) => {
  const error = t.mock.method(console, "error", () => {});
  const thrown = new RangeError("no upgrade");
  const upgrades: readonly (() => void)[] = [
    () => {
      throw thrown;
    },
    () => Promise.reject(thrown),
  ];
  for (const upgrade of upgrades) {
    await using site = siteThat([], { upgrade });
    assertEquals(await answersTo(site, `GET /up HTTP/1.1\r\n${fields("websocket")}`), [""]);
  }
  assertEquals(error.mock.calls.map((call) => call.arguments), [[thrown], [thrown]]);
});

test("serve answers 400 to TRACE, and never asks the handler", limit, async () => {
  const asked: string[] = [];
  await using site = siteThat(asked);
  const trace = "TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  const [answer] = await answersTo(site, trace);
  assertMatch(answer!, /^400 Bad Request/);
  assertEquals(asked, []);
});
