/**
 * An HTTP server on a listener: node:http's, with the web's Request and Response.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Addr, Address } from "../address.ts";
import { requireFunction, requireObject } from "../arguments.ts";
import type { Conn } from "../conn.ts";
import { EXHAUSTED, VsockError } from "../error.ts";
import type { Listener } from "../listener.ts";
import { shown } from "../shown.ts";
import { turn } from "../wait/turns.ts";
import { requireMs, requireSignal } from "../wait/waiting.ts";
import { Connection } from "./connection.ts";
import { toDuplex } from "./duplex.ts";
import { discard, requestOf, respond } from "./request.ts";

/** What a {@linkcode ServeHandler} is told beside the request. */
export interface ServeHandlerInfo<A extends Address = Address> {
  /** The client's end. */
  readonly remoteAddr: Addr<A>;
  /** This end. */
  readonly localAddr: Addr<A>;
  /** Settles when the response is sent, or its client is gone. */
  readonly completed: Promise<void>;
}

/**
 * Answers a request. `request.signal` aborts when its client is gone; one that has closed its half
 * only gets its answer. TCP cannot tell one from the other: there both abort the signal, and an
 * answer is sent to either. A body that nobody has begun to read when the response is sent is
 * discarded, and so is the rest of one of which nobody reads any for 2 seconds after that: reading
 * it fails from then on.
 */
export type ServeHandler<A extends Address = Address> = (
  request: Request,
  info: ServeHandlerInfo<A>,
) => Response | Promise<Response>;

/** For {@linkcode serve}. */
export interface ServeOptions {
  /** Aborted, before or later, closes the listener and each connection at once. */
  readonly signal?: AbortSignal | undefined;
  /** Answers where the handler throws. @default {it is logged, and the answer is 500} */
  readonly onError?: ((error: unknown) => Response | Promise<Response>) | undefined;
  /**
   * Takes over a request with `Upgrade: websocket` or another; the arguments are those of the event
   * `upgrade` of `node:http`, as the `handleUpgrade()` of npm's ws takes them. It closes `socket`;
   * where it throws, that is logged, and `socket` is closed for it. Without it such a request goes
   * to the handler as any other does. So does, in any case, one with `Upgrade: h2c`, which clients
   * of HTTP/2 ask for in vain, and one that was sent before the answer to another.
   */
  readonly upgrade?: ((request: IncomingMessage, socket: Duplex, head: Buffer) => void) | undefined;
  /**
   * Milliseconds that a connection may wait for the head of a request, the first or the next one,
   * or for a byte of a body that is read on after its response; then it is closed.
   * @default {60_000}
   */
  readonly idleTimeoutMs?: number | undefined;
}

/** A running server, from {@linkcode serve}. Disposing is `shutdown()`. */
export interface HttpServer<A extends Address = Address> extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Addr<A>;
  /** Settles when it listens no more and each connection is closed; rejects where accept fails. */
  readonly finished: Promise<void>;
  /** Closes the listener; lets the requests that are under way finish. Settles as `finished`. */
  shutdown(): Promise<void>;
  /** Its waits keep the process alive, the default. */
  ref(): void;
  /** Its waits do not keep the process alive. */
  unref(): void;
}

/**
 * Serves HTTP/1.1 on a listener of any transport, as `Deno.serve()` does; the listener is the
 * server's to close from here on. Bodies stream both ways, and neither is read ahead; that of a
 * response has a `content-length` where it is one chunk, as a string is; on Bun that of a string
 * or of bytes up to 2 MiB. Bun tells no `content-type` of a string: there a handler has to give it.
 * A response with `connection: close` is the last one of its connection. `request.url` is `http:`
 * with the client's `Host`. What is not HTTP gets 400 and is closed, a head beyond what node:http
 * takes gets 431, CONNECT 501; what came before on the same connection is answered first.
 *
 * @throws {TypeError} If the listener is none or of type seqpacket, `handler` is not a function,
 * or an option is of another type.
 * @throws {RangeError} If `idleTimeoutMs` is out of range.
 *
 * @example Ask a server within one process
 * ```ts
 * import { connect, listen } from "@vsockit/vsockit";
 * import { createFetch, serve } from "@vsockit/vsockit/http";
 *
 * const address = { cid: 1, port: 5011 };
 * const listener = listen(address, { transport: "loopback" });
 * await using _server = serve(listener, (request) => new Response(`hello ${request.url}`));
 *
 * using client = createFetch({ connect: () => connect(address, { transport: "loopback" }) });
 * const response = await client.fetch("http://localhost/there");
 * console.log(await response.text());
 * ```
 */
export function serve<A extends Address = Address>(
  listener: Listener<A>,
  handler: ServeHandler<A>,
  options: ServeOptions = {},
): HttpServer<A> {
  if (typeof (listener as Partial<Listener> | null | undefined)?.accept !== "function") {
    throw new TypeError(
      `Cannot serve: the first argument must be a Listener: current value is ${shown(listener)}`,
    );
  }
  if (listener.type !== "stream") {
    throw new TypeError(
      `Cannot serve: listener must be of type stream: current value is ${listener.type}`,
    );
  }
  if (typeof handler !== "function") {
    throw new TypeError(
      `Cannot serve: handler must be a function: current value is ${shown(handler)}`,
    );
  }
  requireServeOptions(options);
  return new RunningServer(listener, handler, options);
}

function requireServeOptions(options: ServeOptions): void {
  requireObject("options", options);
  const { signal, onError, upgrade, idleTimeoutMs } = options;
  // One that is aborted already is as good: the listener has to be closed.
  if (signal !== undefined) requireSignal(signal);
  if (onError !== undefined) requireFunction("onError", onError);
  if (upgrade !== undefined) requireFunction("upgrade", upgrade);
  if (idleTimeoutMs !== undefined) requireMs("idleTimeoutMs", idleTimeoutMs);
}

/** What accept(2) fails with for a while only: the next one may not. */
const PASSING: ReadonlySet<string> = new Set([...EXHAUSTED, "ECONNABORTED", "ECONNRESET"]);
const ACCEPT_PAUSE_MS = 50;
const IDLE_MS = 60_000;
/** A timer's longest, less what node:http adds. */
const LONGEST_MS = 2 ** 31 - 10_000;

class RunningServer<A extends Address> implements HttpServer<A> {
  readonly addr: Addr<A>;
  readonly finished: Promise<void>;
  readonly #listener: Listener<A>;
  readonly #handler: ServeHandler<A>;
  readonly #options: ServeOptions;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, Connection<A>>();
  #held = true;

  constructor(listener: Listener<A>, handler: ServeHandler<A>, options: ServeOptions) {
    this.addr = listener.addr;
    this.#listener = listener;
    this.#handler = handler;
    this.#options = options;
    this.#server = this.#createServer();
    const onAbort = (): void => this.#closeNow();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    if (options.signal?.aborted) onAbort();
    this.finished = this.#run().finally(() => {
      options.signal?.removeEventListener("abort", onAbort);
    });
    this.finished.catch(() => {}); // shutdown() tells it too
  }

  #createServer(): Server {
    const { idleTimeoutMs = IDLE_MS, upgrade } = this.#options;
    // Clients are told this, as `Keep-Alive: timeout`. The timer of Connection goes off first, and
    // covers the wait for the first request too.
    const settings = { // the types of Node that Deno has within do not know all of them
      keepAliveTimeout: Math.ceil(Math.min(idleTimeoutMs, LONGEST_MS)), // Deno takes no fraction
      // What is under way would be answered on the upgraded connection.
      shouldUpgradeCallback: ({ headers, socket }: IncomingMessage): boolean =>
        upgrade !== undefined && !/^h2c$/i.test(headers.upgrade ?? "") &&
        this.#connections.get(socket)?.idle === true,
    };
    const server = createServer(settings);
    server.maxHeadersCount = 0; // as many as fit: Deno would leave out those after the thousandth
    // A client may say that its request was the last, and wait for the answer.
    Object.assign(server, { httpAllowHalfOpen: true });
    // Deno keeps no connection of a server that does not listen itself.
    Object.defineProperty(server, "listening", { value: true });
    server.on("request", (incoming, outgoing) => void this.#answer(incoming, outgoing));
    server.on("clientError", ({ code }: NodeJS.ErrnoException, socket: Duplex) => {
      const large = code === "HPE_HEADER_OVERFLOW";
      const status = large ? "431 Request Header Fields Too Large" : "400 Bad Request";
      this.#connections.get(socket)?.refuse(status);
    });
    server.on("connect", (_, socket) => {
      this.#connections.get(socket)?.refuse("501 Not Implemented");
    });
    // Node before 22.21 and 24.9 asks no shouldUpgradeCallback(): a listener gets each upgrade.
    if (upgrade === undefined) return server;
    server.on("upgrade", async (incoming, socket, head) => {
      this.#connections.get(socket)?.handOver();
      try {
        await upgrade(incoming, socket, head);
      } catch (error) { // uncaught it would end the process
        console.error(error);
        socket.destroy();
      }
    });
    return server;
  }

  async #run(): Promise<void> {
    try {
      await this.#acceptAll();
    } finally {
      this.#listener.close();
      const open = Array.from(this.#connections.values());
      for (const connection of open) connection.closeWhenIdle();
      await Promise.all(open.map(({ closed }) => closed));
    }
  }

  async #acceptAll(): Promise<void> {
    while (!this.#listener.socket.closed) {
      try {
        this.#take(await this.#listener.accept());
      } catch (error) {
        if (this.#listener.socket.closed) return;
        if (!(error instanceof VsockError && PASSING.has(error.code))) throw error;
        await delay(ACCEPT_PAUSE_MS, undefined, { ref: this.#held });
      }
    }
  }

  #take(conn: Conn<A>): void {
    if (!this.#held) conn.unref();
    const duplex = toDuplex(conn);
    const connection = new Connection(conn, duplex, this.#options.idleTimeoutMs ?? IDLE_MS);
    this.#connections.set(duplex, connection);
    connection.closed.then(() => this.#connections.delete(duplex));
    this.#server.emit("connection", duplex);
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const connection = this.#connections.get(incoming.socket);
    if (connection === undefined) return void incoming.destroy();
    if (connection.refused) return; // it is read on until it closes
    const gone = new AbortController();
    const completed = connection.begin(outgoing, gone);
    if (this.#listener.socket.closed) outgoing.shouldKeepAlive = false;
    let request: Request;
    try {
      request = requestOf(incoming, outgoing, gone.signal, (over) => connection.readOn(over));
    } catch {
      connection.refused = true;
      outgoing.shouldKeepAlive = false;
      return void outgoing.writeHead(400).end();
    }
    const { remoteAddr, localAddr } = connection.conn;
    try {
      await respond(await this.#handler(request, { remoteAddr, localAddr, completed }), outgoing);
    } catch (error) {
      if (gone.signal.aborted) connection.duplex.destroy(); // over TCP it may be there still
      else await this.#fail(error, outgoing);
    }
  }

  /** Where onError fails too, its error is told as without one. */
  async #fail(error: unknown, outgoing: ServerResponse): Promise<void> {
    const { onError = logged } = this.#options;
    try {
      await tell(await onError(error), outgoing);
    } catch (second) {
      await tell(logged(second), outgoing).catch(() => outgoing.destroy());
    }
  }

  #closeNow(): void {
    this.#listener.close();
    for (const { duplex } of this.#connections.values()) duplex.destroy();
  }

  shutdown(): Promise<void> {
    this.#listener.close();
    return this.finished;
  }

  ref(): void {
    this.#hold(true);
  }

  unref(): void {
    this.#hold(false);
  }

  #hold(held: boolean): void {
    this.#held = held;
    for (
      const end of [this.#listener, ...this.#connections.keys()] as { ref(): void; unref(): void }[]
    ) {
      if (held) end.ref();
      else end.unref();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}

/** Sends the response of a failure; one after the head is sent can be told by a reset only. */
async function tell(response: Response, outgoing: ServerResponse): Promise<void> {
  if (!outgoing.headersSent) {
    for (const name of outgoing.getHeaderNames()) outgoing.removeHeader(name);
    return await respond(response, outgoing);
  }
  discard(response);
  outgoing.flushHeaders();
  await turn(); // what was written before goes out: the client learns that it was heard
  outgoing.destroy();
}

function logged(error: unknown): Response {
  console.error(error);
  return new Response("Internal Server Error", { status: 500 });
}
