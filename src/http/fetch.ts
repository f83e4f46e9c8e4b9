/**
 * A fetch over connections of one's own: node:http's client, with the web's Request and Response.
 *
 * @module
 */
import { Agent, type ClientRequest, type IncomingMessage, request as open } from "node:http";
import type { Duplex } from "node:stream";
import type { Address } from "../address.ts";
import type { Conn } from "../conn.ts";
import { VsockError } from "../error.ts";
import { requireWaitOptions } from "../waiting.ts";
import { bodyOf, headersOf, sendBody } from "./body.ts";
import { toDuplex } from "./duplex.ts";

/** For {@linkcode createFetch}. */
export interface FetchOptions {
  /** Opens a connection to the server. The client closes it. */
  readonly connect: () => Promise<Conn<Address>>;
  /** Connections at a time; further requests wait for one. @default {8} */
  readonly maxConnections?: number | undefined;
  /** Milliseconds that a connection is kept without a request. @default {4_000} */
  readonly idleTimeoutMs?: number | undefined;
}

/** A client of one server, from {@linkcode createFetch}. */
export interface FetchClient extends Disposable {
  /**
   * As the web's `fetch()`; the host of the URL becomes the `Host` header and leads nowhere. It
   * follows no redirect, decodes no `Content-Encoding`, and keeps no cookie. Aborting its signal,
   * or cancelling the body of the response, closes the connection.
   *
   * @throws {TypeError} "Cannot fetch" with a `cause`: a `VsockError` where the connection failed.
   * @throws The reason of `signal` where that is aborted.
   */
  fetch(this: void, input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Closes all connections; requests that are under way fail. */
  close(): void;
}

/**
 * Makes a client that fetches over connections that `connect` opens, and keeps them for the next
 * request. Its caller closes it; `using` does so. Bodies stream both ways, and neither is read
 * ahead. See `serve()` for an example.
 *
 * @throws {RangeError} If an option is out of range.
 */
export function createFetch(options: FetchOptions): FetchClient {
  const { connect, maxConnections = 8, idleTimeoutMs = 4_000 } = options;
  if (!(maxConnections >= 1)) {
    throw new RangeError(
      `Cannot use maxConnections: must be at least 1: current value is ${maxConnections}`,
    );
  }
  requireWaitOptions({ timeoutMs: idleTimeoutMs });
  const agent = new ConnAgent(connect, maxConnections, idleTimeoutMs);
  return {
    fetch: (input, init): Promise<Response> => fetchBy(agent, input, init),
    close: () => agent.destroy(),
    [Symbol.dispose]: () => agent.destroy(),
  };
}

type OnConnection = (error: Error | null, stream: Duplex) => void;

/** The pool: node:http's own, over our connections. */
class ConnAgent extends Agent {
  readonly #connect: () => Promise<Conn<Address>>;
  readonly #open = new Set<Duplex>();
  #closed = false;

  constructor(connect: () => Promise<Conn<Address>>, maxSockets: number, idleTimeoutMs: number) {
    const timeout = idleTimeoutMs === Infinity ? {} : { timeout: idleTimeoutMs };
    super({ keepAlive: true, maxSockets, maxFreeSockets: maxSockets, ...timeout });
    this.#connect = connect;
  }

  override createConnection(_options: unknown, onConnection?: OnConnection): undefined {
    this.#dial().then(
      (duplex) => onConnection?.(null, duplex),
      (error) => onConnection?.(error, undefined!),
    );
  }

  async #dial(): Promise<Duplex> {
    const duplex = toDuplex(await this.#connect());
    this.#open.add(duplex);
    duplex.once("close", () => this.#open.delete(duplex));
    duplex.on("error", () => {}); // the request is told of it; of an idle one nobody need know
    if (this.#closed) duplex.destroy();
    return duplex;
  }

  override destroy(): void {
    this.#closed = true;
    super.destroy();
    for (const duplex of this.#open) duplex.destroy();
  }
}

/** What node:http sees to by itself, or what no fetch may set. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"],
  ...["proxy-connection", "transfer-encoding", "upgrade"],
]);

async function fetchBy(
  agent: ConnAgent,
  input: string | URL | Request,
  init: RequestInit = {},
): Promise<Response> {
  const streamed = init.body instanceof ReadableStream ? { duplex: "half" } : {};
  const request = new Request(input, { ...init, ...streamed });
  request.signal.throwIfAborted();
  const body = isWhole(init.body) ? new Uint8Array(await request.arrayBuffer()) : request.body;
  try {
    return await exchange(agent, request, body);
  } catch (error) {
    // The server closed a kept connection just then: it has not seen the request.
    if (!(error instanceof StaleError)) throw error;
    return await exchange(agent, request, body);
  }
}

/** Whether a body is in memory: then its length is told, which servers without chunks ask for. */
function isWhole(body: RequestInit["body"]): boolean {
  return typeof body === "string" || body instanceof URLSearchParams ||
    body instanceof ArrayBuffer || ArrayBuffer.isView(body);
}

type Body = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | null;

function exchange(agent: ConnAgent, request: Request, body: Body): Promise<Response> {
  const { signal } = request;
  const outgoing = start(agent, request, body);
  let incoming: IncomingMessage | undefined;
  const end = (reason?: unknown): void => {
    const error = reason instanceof Error ? reason : undefined;
    (incoming ?? outgoing).destroy(error);
  };
  const onAbort = (): void => end(signal.reason);
  const toError = (cause: unknown): unknown => signal.aborted ? signal.reason : failure(cause);
  signal.addEventListener("abort", onAbort, { once: true });
  outgoing.once("close", () => signal.removeEventListener("abort", onAbort));
  return new Promise((resolve, reject) => {
    outgoing.on("error", (cause) => {
      const stale = outgoing.reusedSocket && body === null && SAFE.has(request.method);
      reject(stale && !signal.aborted ? new StaleError("Stale", { cause }) : toError(cause));
    });
    outgoing.once("close", () => {
      if (incoming === undefined) reject(toError(undefined)); // where no error was told
    });
    outgoing.once("response", (message) => {
      incoming = message;
      resolve(responseOf(message, request.method, end, toError));
    });
    send(outgoing, body).catch((cause) => {
      reject(toError(cause));
      end(cause);
    });
  });
}

/** A kept connection was closed before it was used again. */
class StaleError extends TypeError {}

/** What may be sent twice. */
const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

function start(agent: ConnAgent, request: Request, body: Body): ClientRequest {
  const { host, hostname, pathname, search } = new URL(request.url);
  const headers: Record<string, string> = { host };
  for (const [name, value] of request.headers) if (!FORBIDDEN.has(name)) headers[name] = value;
  if (body instanceof ReadableStream) headers["transfer-encoding"] = "chunked";
  else if (body !== null) headers["content-length"] = `${body.length}`;
  const { method } = request;
  return open({ agent, method, host: hostname, path: pathname + search, headers });
}

async function send(outgoing: ClientRequest, body: Body): Promise<void> {
  if (body instanceof ReadableStream) await sendBody(body, outgoing);
  else if (body === null) outgoing.end();
  else outgoing.end(body);
}

/** Statuses whose responses have no body. */
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);

function responseOf(
  incoming: IncomingMessage,
  method: string,
  onCancel: (reason: unknown) => void,
  toError: (cause: unknown) => unknown,
): Response {
  const { statusCode: status = 0, statusMessage: statusText = "", rawHeaders } = incoming;
  const init = { status, statusText, headers: headersOf(rawHeaders) };
  incoming.on("error", () => {}); // who reads the body is told of it
  if (method !== "HEAD" && !BODILESS.has(status)) {
    return new Response(bodyOf(incoming, onCancel, toError), init);
  }
  incoming.resume();
  return new Response(null, init);
}

/** As the web's fetch says it, with what a socket refused as the cause. */
function failure(cause: unknown): TypeError {
  const { code } = (cause ?? {}) as { code?: unknown };
  const reset = cause === undefined || code === "ECONNRESET" && !(cause instanceof VsockError);
  return new TypeError("Cannot fetch: the connection failed", {
    cause: reset ? new VsockError("recv", "ECONNRESET", { cause }) : cause,
  });
}
