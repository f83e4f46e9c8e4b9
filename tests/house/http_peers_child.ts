/**
 * Run by http_peers_test.ts, with a folder that ws, undici and ssh2 are installed in and the name
 * of one of them: over the loopback it does what its users do, and prints what came back.
 */
import { Buffer } from "node:buffer";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import process from "node:process";
import type { Duplex } from "node:stream";
import { connect, listen } from "@vsockit/vsockit";
import { createFetch, serve, toDuplex } from "@vsockit/vsockit/http";
import { createLoopback } from "@vsockit/vsockit/loopback";

const [folder = "", peer = ""] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const transport = createLoopback();
const address = { cid: 1, port: 1024 };
const BIG = 1 << 20;

async function dial(): Promise<Duplex> {
  return toDuplex(await connect(address, { transport }));
}

type Emitter = NodeJS.EventEmitter;
interface WebSocketLike extends Emitter {
  send(data: string | Uint8Array): void;
  close(): void;
}
interface Ws {
  WebSocket: new (url: string, options: { createConnection(): Duplex }) => WebSocketLike;
  WebSocketServer: new (options: { noServer: true }) => {
    handleUpgrade(...args: [unknown, Duplex, Uint8Array, (socket: WebSocketLike) => void]): void;
  };
}

/** ws on both ends, by the upgrade of `serve()`. */
async function ws(): Promise<void> {
  const { WebSocket, WebSocketServer }: Ws = require("ws");
  const sockets = new WebSocketServer({ noServer: true });
  await using _server = serve(listen(address, { transport }), () => new Response("no"), {
    upgrade: (request, socket, head) =>
      sockets.handleUpgrade(request, socket, head, (ws) => {
        ws.on("message", (data: Uint8Array, binary: boolean) => ws.send(binary ? data : `${data}`));
      }),
  });
  const duplex = await dial();
  const socket = new WebSocket("ws://localhost/", { createConnection: () => duplex });
  await once(socket, "open");
  socket.send("hello");
  const [text] = await once(socket, "message");
  socket.send(Buffer.alloc(BIG, 7));
  const [data] = await once(socket, "message");
  socket.close();
  await once(socket, "close");
  console.log(`${text} ${data.length} ${data[BIG - 1]}`);
}

interface Undici {
  Client: new (
    origin: string,
    options: { connect(options: unknown, done: (error: null, socket: Duplex) => void): void },
  ) => {
    request(options: { method: string; path: string; body: Uint8Array }): Promise<{
      statusCode: number;
      body: { bytes(): Promise<Uint8Array> };
    }>;
    close(): Promise<void>;
  };
}

/** undici's Client, by its path as Bun has a stub of that name, against `serve()`. */
async function undici(): Promise<void> {
  const { Client }: Undici = require(`${folder}/node_modules/undici/index.js`);
  await using _server = serve(listen(address, { transport }), async (request) => {
    return new Response(await request.bytes(), { status: 201 });
  });
  const client = new Client("http://localhost", {
    connect: (_, done) => void dial().then((duplex) => done(null, duplex)),
  });
  for (const length of [5, BIG]) {
    const { statusCode, body } = await client.request({
      method: "POST",
      path: "/",
      body: Buffer.alloc(length),
    });
    console.log(statusCode, (await body.bytes()).length);
  }
  await client.close();
}

interface SshChannel extends Duplex {
  exit(code: number): void;
}
interface Ssh2 {
  Server: new (options: { hostKeys: string[] }, onClient: (client: Emitter) => void) => {
    injectSocket(socket: Duplex): void;
  };
  Client: new () => Emitter & {
    connect(options: { sock: Duplex; username: string; password: string }): void;
    exec(command: string, done: (error: Error | undefined, channel: SshChannel) => void): void;
    end(): void;
  };
}

/** ssh2 on both ends. */
async function ssh2(): Promise<void> {
  const { Server, Client }: Ssh2 = require("ssh2");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const key = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
  const server = new Server({ hostKeys: [key] }, (client) => {
    client.on("authentication", (context: { accept(): void }) => context.accept());
    client.on(
      "session",
      (accept: () => Emitter) =>
        accept().on("exec", (accept: () => SshChannel, _: unknown, info: { command: string }) => {
          const channel = accept();
          channel.write(`ran ${info.command}`);
          channel.exit(0);
          channel.end();
        }),
    );
  });
  using listener = listen(address, { transport });
  const sock = await dial();
  server.injectSocket(toDuplex(await listener.accept()));
  const client = new Client();
  client.connect({ sock, username: "me", password: "x" });
  await once(client, "ready");
  client.exec("uname", async (_, channel) => {
    let text = "";
    for await (const data of channel) text += data;
    console.log(text);
    client.end();
  });
  await once(client, "close");
}

/** node:http's own server, which express and others are made on. */
async function http(): Promise<void> {
  const server = createServer((request, response) => request.pipe(response));
  using listener = listen(address, { transport });
  void (async () => {
    for await (const conn of listener) server.emit("connection", toDuplex(conn));
  })();
  using client = createFetch({ connect: () => connect(address, { transport }) });
  const response = await client.fetch("http://localhost/", { method: "POST", body: "hello" });
  console.log(await response.text());
}

const PEERS: Readonly<Record<string, () => Promise<void>>> = { ws, undici, ssh2, http };
await PEERS[peer]?.();
