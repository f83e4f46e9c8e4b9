/** TLS over a connection, by `node:tls`. */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request } from "node:http";
import { test } from "node:test";
import { connect as connectTls, TLSSocket } from "node:tls";
import { assertEquals } from "@std/assert";
import { connect } from "../../src/connect.ts";
import { toDuplex } from "../../src/http/duplex.ts";
import { listen } from "../../src/listen.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import { UnixFolder } from "./unix_folder.ts";

const NAME = "enclave";
const LENGTH = 300_000;

/** A key, and a certificate of `NAME` by it; why there is none, if so. */
function makeCertificate(): { readonly key: string; readonly cert: string } | string {
  using folder = new UnixFolder();
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

test("toDuplex() carries HTTP over TLS, from either side", {
  skip: typeof made === "string" && made,
  timeout: 60_000,
}, async () => {
  const { key, cert } = made as Exclude<typeof made, string>;
  const transport = createLoopback();
  const address = { cid: 1, port: 8443 };
  const server = createServer((asked, answer) => void asked.pipe(answer));
  using listener = listen(address, { transport });
  using near = await connect(address, { transport });
  using far = await listener.accept();
  const options = { isServer: true, key, cert };
  server.emit("connection", new TLSSocket(toDuplex(far) as unknown as TLSSocket, options));
  const socket = connectTls({ socket: toDuplex(near), ca: cert, servername: NAME });
  const asking = request({
    method: "POST",
    headers: { host: NAME, connection: "close" },
    createConnection: () => socket,
  });
  const body = Buffer.from(Uint8Array.from({ length: LENGTH }, (_, index) => index * 31 >> 3));
  asking.end(body);
  const [answer] = await once(asking, "response") as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  assertEquals([socket.authorized, Buffer.concat(parts).equals(body)], [true, true]);
  socket.destroy();
});
