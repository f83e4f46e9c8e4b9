/**
 * Requests that are malformed. `VSOCKIT_SEED` replays a run, `VSOCKIT_STEPS` is how many there are.
 */
import process from "node:process";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { assert, assertEquals, assertLess } from "@std/assert";
import { VsockError } from "../../src/error.ts";
import { seeded } from "../../src/loopback/random.ts";
import { bytes, Site } from "../unit/http/helpers.ts";

const SEED = Number(process.env["VSOCKIT_SEED"] ?? Date.now()) >>> 0;
const REQUESTS = Number(process.env["VSOCKIT_STEPS"] ?? 20_000);
const CLIENTS = 16;
const MIB = 1024 * 1024;

/** What a mutation starts from. */
const SEEDS: readonly string[] = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET http://a/b?c HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\nGET / HTTP/1.0\r\n\r\n",
  "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
  "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\n0\r\nT: v\r\n\r\n",
  "PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
  "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00",
  "OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\nTRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
  "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];
const SPLICES: readonly string[] = [
  ...["\r\n", "\n", "\r", "\0", " ", ":", "\r\n\r\n", "HTTP/1.1", "Content-Length: 3\r\n"],
  ...["Content-Length: 99999999999999999999\r\n", "Transfer-Encoding: chunked\r\n", "\xff\xfe"],
  ...["ffffffffffffffff\r\n", "Host: b/../c\r\n", "-1\r\n", `X: ${"y".repeat(20_000)}\r\n`],
];

/** A request, cut, spliced and flipped. */
function mutated(random: () => number): Uint8Array<ArrayBuffer> {
  const below = (limit: number): number => Math.floor(random() * limit);
  let text = SEEDS[below(SEEDS.length)]!;
  for (let left = below(5); left > 0; left--) {
    const [from, to] = [below(text.length + 1), below(text.length + 1)];
    const kind = below(4);
    if (kind === 0) text = text.slice(0, from) + SPLICES[below(SPLICES.length)] + text.slice(from);
    else if (kind === 1) text = text.slice(0, from) + text.slice(Math.max(from, to));
    else if (kind === 2) {
      text = text.slice(0, from) + String.fromCharCode(below(256)) + text.slice(from + 1);
    } else text += SEEDS[below(SEEDS.length)];
  }
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Sends one input, in one piece or two, and reads into `p` until the server closes. */
async function send(site: Site, random: () => number, p: Uint8Array): Promise<void> {
  using conn = await site.dial();
  const input = mutated(random);
  const cut = random() < 0.5 ? input.length : Math.floor(random() * input.length);
  try {
    for (const part of [input.subarray(0, cut), input.subarray(cut)]) await conn.write(part);
    await conn.closeWrite();
    while (await conn.read(p, { timeoutMs: 20_000 }) !== null);
  } catch (error) {
    assert(error instanceof VsockError && error.code !== "ETIMEDOUT", `seed ${SEED}: ${error}`);
  }
}

const name = `serve survives ${REQUESTS} malformed requests, seed ${SEED}`;
test(name, { timeout: 60_000 + REQUESTS * 5 }, async () => {
  await using site = new Site(async (request) => {
    const body = await request.bytes();
    return new Response(body);
  }, { onError: () => new Response("failed", { status: 500 }) });
  const random = seeded(SEED);
  let left = REQUESTS;
  const client = async (): Promise<void> => {
    const p = new Uint8Array(65_536);
    while (left-- > 0) {
      await send(site, random, p);
      // A loopback by itself never lets the event loop turn, and so no garbage be seen to.
      if (left % 100 === 0) await setImmediate();
    }
  };
  const before = process.memoryUsage().rss;
  await Promise.all(Array.from({ length: CLIENTS }, client));
  const response = await site.fetch("/", { method: "POST", body: bytes("well") });
  assertEquals(await response.text(), "well");
  assertLess((process.memoryUsage().rss - before) / MIB, 512, `seed ${SEED}`);
});
