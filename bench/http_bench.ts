/**
 * HTTP requests a second at 50 connections: node:http over our connections against the same
 * node:http over an AF_UNIX path of its own. Within one event loop, client and server.
 *
 * @module
 */
import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type Server } from "node:http";
import { connect as connectUnix } from "node:net";
import type { Duplex } from "node:stream";
import { connect, createVmm, listen, openUnix } from "../mod.ts";
import type { Address } from "../src/address.ts";
import type { Conn } from "../src/conn.ts";
import { createFetch, serve, toDuplex } from "../src/http/mod.ts";
import type { Listener } from "../src/listener.ts";
import { createLoopback } from "../src/loopback/mod.ts";
import { TempFolder } from "../tests/helpers/temp_folder.ts";
import type { Bench, Round } from "./bench.ts";

const CONNECTIONS = 50;
const REQUESTS = 10_000;
const WARMUP = 2_000;
const TEXT = "x".repeat(100);

/** What carries it: a transport joins by one of these. */
interface Carrier {
  readonly listener: Listener<Address>;
  dial(): Promise<Conn<Address>>;
}

/** Asks once, and throws unless the answer is right. */
type Ask = () => Promise<void>;

function onLoopback<Result>(use: (carrier: Carrier) => Promise<Result>): Promise<Result> {
  const transport = createLoopback();
  const address = { cid: 1, port: 80 };
  const listener = listen(address, { transport, backlog: CONNECTIONS });
  return use({
    listener,
    dial: () => connect(address, { transport }),
  });
}

async function onUnix<Result>(use: (carrier: Carrier) => Promise<Result>): Promise<Result> {
  using folder = new TempFolder();
  const address = { path: folder.path("ours") };
  const transport = openUnix();
  const listener = listen(address, { transport, backlog: CONNECTIONS });
  return await use({
    listener,
    dial: () => connect(address, { transport }),
  });
}

/** Ports of a VM behind a path, the VM in this process too. */
async function onHybrid<Result>(use: (carrier: Carrier) => Promise<Result>): Promise<Result> {
  using folder = new TempFolder();
  const path = folder.path("vm");
  using vmm = createVmm(path);
  const listener = listen({ cid: 3, port: 80 }, { transport: vmm.guest, backlog: CONNECTIONS });
  return await use({
    listener,
    dial: () => connect({ path, port: 80 }),
  });
}

/** Requests a second of `ask`, by as many askers as there are connections. */
async function rate(ask: Ask): Promise<number> {
  await askAll(ask, WARMUP);
  const start = performance.now();
  await askAll(ask, REQUESTS);
  return REQUESTS / ((performance.now() - start) / 1000);
}

async function askAll(ask: Ask, count: number): Promise<void> {
  let left = count;
  const asker = async (): Promise<void> => {
    while (left-- > 0) await ask();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, asker));
}

function check(text: string): void {
  if (text !== TEXT) throw new Error(`Cannot measure HTTP: the answer was ${text}`);
}

class ConnAgent extends Agent {
  readonly #dial: () => Promise<Duplex>;
  constructor(dial: () => Promise<Duplex>) {
    super({ keepAlive: true, maxSockets: CONNECTIONS, maxFreeSockets: CONNECTIONS });
    this.#dial = dial;
  }
  override createConnection(
    _: unknown,
    done?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    this.#dial().then((duplex) => done?.(null, duplex), (error) => done?.(error, undefined!));
  }
}

function askBy(agent: Agent): Ask {
  return async () => {
    const outgoing = request({ agent, host: "localhost", path: "/" });
    outgoing.end();
    const [incoming]: [IncomingMessage] = await once(outgoing, "response") as [IncomingMessage];
    let text = "";
    for await (const chunk of incoming.setEncoding("utf8")) text += chunk;
    check(text);
  };
}

function answering(): Server {
  const server = createServer((_, outgoing) => void outgoing.end(TEXT));
  // Deno keeps no connection of a server that does not listen itself.
  return Object.defineProperty(server, "listening", { value: true, configurable: true });
}

/** node:http on both ends, over our connections. */
async function nodeOver({ listener, dial }: Carrier, use: Use): Promise<number> {
  using _listener = listener;
  const server = answering();
  void (async () => {
    for await (const conn of listener) server.emit("connection", toDuplex(conn));
  })();
  const agent = new ConnAgent(async () => toDuplex(await dial()));
  try {
    return await use(askBy(agent));
  } finally {
    agent.destroy();
  }
}

/** `serve()` and `createFetch()`, over our connections. */
async function oursOver({ listener, dial }: Carrier, use: Use): Promise<number> {
  await using _server = serve(listener, () => new Response(TEXT));
  using client = createFetch({ connect: dial, maxConnections: CONNECTIONS });
  return await use(async () => check(await (await client.fetch("http://localhost/")).text()));
}

/** node:http on both ends, over a path by node:net. */
async function nodeUnix(use: Use): Promise<number> {
  using folder = new TempFolder();
  const path = folder.path("peer");
  const server = createServer((_, outgoing) => void outgoing.end(TEXT));
  await once(server.listen(path), "listening");
  const agent = new ConnAgent(() => Promise.resolve(connectUnix(path)));
  try {
    return await use(askBy(agent));
  } finally {
    agent.destroy();
    server.close();
  }
}

type Use = (ask: Ask) => Promise<number>;

async function all(use: Use): Promise<Round> {
  return {
    loopback: await onLoopback((carrier) => nodeOver(carrier, use)),
    hybrid: await onHybrid((carrier) => nodeOver(carrier, use)),
    unix: await onUnix((carrier) => nodeOver(carrier, use)),
    fetch: await onLoopback((carrier) => oursOver(carrier, use)),
    peer: await nodeUnix(use),
  };
}

const peer = { peer: "peer", peerIs: "AF_UNIX, node:http by node:net", unit: "1/s" };

/** node:http over what `toDuplex()` gives; and `serve()` with `createFetch()` on top of it. */
export const http: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    await all(async (ask) => (await ask(), 0));
  },
  round: () => all(rate),
  rows: [{
    ...peer,
    name: "http",
    what: `node:http, ${CONNECTIONS} connections, loopback`,
    ours: "loopback",
    target: { atLeast: 0.8 },
    note: "client and server in one event loop; 100 bytes; keep-alive; ours is toDuplex()",
  }, {
    ...peer,
    name: "http-hybrid",
    what: "the same to a VM behind a path",
    ours: "hybrid",
    target: { atLeast: 0.8 },
    note: "both ends are in one process here too, and the VM is a stand-in",
  }, {
    ...peer,
    name: "http-unix",
    what: "the same over AF_UNIX by our reactor",
    ours: "unix",
    note: "what HTTP over a kernel's socket costs here",
  }, {
    ...peer,
    name: "http-fetch",
    what: "the same, serve() and fetch(), loopback",
    ours: "fetch",
    note: "Request and Response of the web on both ends; the peer has neither",
  }],
};
