/** TLS and HTTP/2 over a connection, by `node:tls` and `node:http2`. */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request } from "node:http";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type ServerHttp2Stream,
} from "node:http2";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { connect as connectTls, TLSSocket } from "node:tls";
import { assertEquals } from "@std/assert";
import { type ConnDuplex, toDuplex } from "../../../src/http/duplex.ts";
import { openPair, type Pair, pattern } from "../../helpers/pair.ts";
import { TempFolder } from "../../helpers/temp_folder.ts";

const NAME = "enclave";

/** A key, and a certificate of `NAME` by it. */
interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** Made afresh; why there is none, if so. */
function makeCertificate(): Certificate | string {
  using folder = new TempFolder();
  const [key, cert] = [folder.path("key"), folder.path("cert")];
  const { status, error } = spawnSync("openssl", [
    ...["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    ...["-subj", `/CN=${NAME}`, "-addext", `subjectAltName=DNS:${NAME}`],
    ...["-keyout", key, "-out", cert],
  ]);
  if (error !== undefined) return "no openssl: apt install openssl";
  assertEquals(status, 0);
  return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
}

const made = makeCertificate();
const limit = { timeout: 60_000 };
const secured = { ...limit, skip: typeof made === "string" && made };

/** Both ends of a pair, the far one a TLS server's. */
function secure(pair: Pair): [near: TLSSocket, far: TLSSocket, duplexes: ConnDuplex[]] {
  const [near, far] = [toDuplex(pair.near), toDuplex(pair.far)];
  const { key, cert } = made as Certificate;
  const server = new TLSSocket(far, { isServer: true, key, cert });
  return [connectTls({ socket: near, ca: cert, servername: NAME }), server, [near, far]];
}

/** All that comes: a loop over `from` would end what is sent, too. */
async function received(from: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  from.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(from, "end");
  return Buffer.concat(chunks);
}

/** Resolves when all of them are closed. */
async function closed(duplexes: readonly ConnDuplex[]): Promise<void> {
  await Promise.all(duplexes.map((duplex) => duplex.closed || once(duplex, "close")));
}

test("toDuplex carries TLS both ways, and closes with it", secured, async () => {
  using pair = await openPair();
  const [near, far, duplexes] = secure(pair);
  const sent = Buffer.from(pattern(1 << 20));
  const both = Promise.all([received(near), received(far)]);
  near.end(sent);
  far.end(sent);
  for (const got of await both) assertEquals(sent.equals(got), true);
  assertEquals(near.authorized, true);
  await closed(duplexes);
});

test("toDuplex tells a TLS server whose client gives up amid the handshake", secured, async () => {
  using pair = await openPair();
  const [near, far, duplexes] = secure(pair);
  near.on("error", () => {});
  far.on("error", () => {});
  const ended = once(far.resume(), "end");
  near.destroy();
  await ended;
  far.destroy();
  await closed(duplexes);
});

test("toDuplex carries HTTP over TLS", secured, async () => {
  using pair = await openPair();
  const [near, far] = secure(pair);
  createServer((asked, answer) => void asked.pipe(answer)).emit("connection", far);
  const asking = request({
    method: "POST",
    headers: { host: NAME, connection: "close" },
    createConnection: () => near,
  });
  const body = Buffer.from(pattern(300_000));
  asking.end(body);
  const [answer] = await once(asking, "response") as [IncomingMessage];
  assertEquals(body.equals(await received(answer)), true);
  near.destroy();
});

test("toDuplex carries a session of HTTP/2, and closes with it", limit, async () => {
  using pair = await openPair();
  const [near, far] = [toDuplex(pair.near), toDuplex(pair.far)];
  const server = createHttp2Server();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  server.emit("connection", far);
  const session = connectHttp2("http://localhost", { createConnection: () => near });
  const ask = async (body: Buffer): Promise<Buffer> => {
    const stream = session.request({ ":path": "/", ":method": "POST" });
    stream.end(body);
    return await received(stream);
  };
  const bodies = Array.from({ length: 20 }, (_, i) => Buffer.alloc(100_000, i));
  const answers = await Promise.all(bodies.map(ask));
  assertEquals(answers.map((answer, i) => answer.equals(bodies[i]!)), bodies.map(() => true));
  session.close();
  await closed([near, far]);
});
