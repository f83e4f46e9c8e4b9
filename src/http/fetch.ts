/**
 * A fetch over connections of one's own: node:http's client, with the web's Request and Response.
 *
 * @module
 */
import type { Address } from "../address.ts";
import { requireFunction, requireObject } from "../arguments.ts";
import type { Conn } from "../conn.ts";
import { BodyReader } from "./body.ts";
import { type Body, exchange, StaleError } from "./exchange.ts";
import { failure } from "./failure.ts";
import { requireMs } from "../wait/waiting.ts";
import { requireCount } from "./options.ts";
import { Pool, type PooledConn } from "./pool.ts";

/** For {@linkcode createFetch}. */
export interface FetchOptions {
  /** Opens a connection to the server. The client closes it. */
  readonly connect: () => Promise<Conn<Address>>;
  /**
   * Connections at a time, those that are being opened included; further requests wait for one, in
   * order. A response holds its own until all of it has come: one of 64 KiB or more until its body
   * is read to the end, or cancelled. @default {8}
   */
  readonly maxConnections?: number | undefined;
  /**
   * Milliseconds that a request waits while each connection is held by a response of which 64 KiB
   * are there and nobody reads any; then it fails, as that may have no end. @default {10_000}
   */
  readonly unreadTimeoutMs?: number | undefined;
  /** Milliseconds that a connection is kept without a request. @default {4_000} */
  readonly idleTimeoutMs?: number | undefined;
}

/** A client of one server, from {@linkcode createFetch}. */
export interface FetchClient extends Disposable {
  /**
   * As the web's `fetch()`; the host of the URL becomes the `Host` header and leads nowhere. It
   * follows no redirect, but gives it, unless `redirect` is `"error"`; it decodes no
   * `Content-Encoding`, and keeps no cookie. It sends `content-length` unless the body is a
   * stream; for the body of a Request, where all of that is there. Aborting its signal, or
   * cancelling the body of the response, closes the connection. A request that may be sent twice
   * (GET, HEAD, OPTIONS, PUT or DELETE, without a stream or a Request's body) is sent once more
   * where a kept connection was closed before a byte of the answer came.
   *
   * @throws {TypeError} "Cannot fetch" with a `cause`: a `VsockError` where the connection failed,
   * what `connect` or the body of the request failed with.
   * @throws {TypeError} "Cannot fetch" if no connection is free as bodies are neither read nor
   * cancelled, for `unreadTimeoutMs`.
   * @throws {TypeError} "Cannot fetch" if a redirect comes where `redirect` is `"error"`.
   * @throws {TypeError} "Cannot fetch" if the URL is not of `http:`, or the client is closed.
   * @throws The reason of `signal` where that is aborted.
   */
  fetch(this: void, input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Closes all connections; requests that are under way or wait fail, and so do later ones. */
  close(): void;
}

/**
 * Makes a client that fetches over connections that `connect` opens, and keeps them for the next
 * request. Its caller closes it; `using` does so. Bodies stream both ways; that of a response is
 * read 64 KiB ahead. See `serve()` for an example.
 *
 * @throws {TypeError} If `connect` is not a function, or another option not a number.
 * @throws {RangeError} If an option is out of range.
 */
export function createFetch(options: FetchOptions): FetchClient {
  requireObject("options", options);
  const { connect, maxConnections = 8, idleTimeoutMs = 4_000, unreadTimeoutMs = 10_000 } = options;
  requireFunction("connect", connect);
  requireCount("maxConnections", maxConnections);
  requireMs("idleTimeoutMs", idleTimeoutMs);
  requireMs("unreadTimeoutMs", unreadTimeoutMs);
  const pool = new Pool({ connect, maxConnections, idleTimeoutMs, unreadTimeoutMs });
  return {
    fetch: (input, init): Promise<Response> => fetchBy(pool, input, init),
    close: () => pool.close(),
    [Symbol.dispose]: () => pool.close(),
  };
}

async function fetchBy(
  pool: Pool,
  input: string | URL | Request,
  init?: RequestInit,
): Promise<Response> {
  const { body: given, headers, method, redirect, signal: own } = init ?? {};
  const known = { body: given, headers, method, redirect, signal: own, duplex: "half" };
  const request = new Request(input, known as RequestInit);
  requireHttp(request.url);
  const follows = own || input instanceof Request; // to follow two signals takes time
  const signal = follows ? AbortSignal.any([request.signal, pool.closed]) : pool.closed;
  signal.throwIfAborted();
  tellType(request, given);
  const body = request.body && await bodyToSend(request, request.body, given);
  return notRedirected(request, await ask(pool, request, body, signal));
}

async function ask(
  pool: Pool,
  request: Request,
  body: Body,
  signal: AbortSignal,
): Promise<Response> {
  try {
    return await exchange(await take(pool, body, signal), request, body, signal);
  } catch (error) {
    // The server closed a kept connection just then: it has not seen the request.
    if (!(error instanceof StaleError)) throw error;
    pool.dropIdle(); // it may have closed all of them, and the next one has to be open
    return await exchange(await take(pool, body, signal), request, body, signal);
  }
}

/** Statuses that lead elsewhere. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Throws where a redirect has come and is to be an error. */
async function notRedirected({ redirect }: Request, response: Response): Promise<Response> {
  if (redirect !== "error" || !REDIRECTS.has(response.status)) return response;
  await response.body?.cancel();
  throw new TypeError(`Cannot fetch: the response is a redirect, of status ${response.status}`);
}

function requireHttp(url: string): void {
  if (url.startsWith("http:")) return;
  const { protocol } = new URL(url);
  throw new TypeError(`Cannot fetch ${url}: must be of http: current value is ${protocol}`);
}

/**
 * What to send of `request`, which was made of `given`. Its length is told where it is known: there
 * are servers that understand no chunks.
 */
async function bodyToSend(
  request: Request,
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  given: RequestInit["body"],
): Promise<Body> {
  if (given instanceof Blob && given.size > SMALL) return given;
  try {
    if (isWhole(given)) return new Uint8Array(await request.arrayBuffer());
    const reader = new BodyReader(stream);
    if (given == null) await reader.length(); // the request came with it
    return reader;
  } catch (cause) {
    throw failure("the body of the request failed", cause);
  }
}

/** Bytes that a Blob may have to be sent as others that are in memory: with the head. */
const SMALL = 65_536;

/** Whether a body is made into bytes first. */
function isWhole(body: RequestInit["body"]): boolean {
  return typeof body === "string" || body instanceof ArrayBuffer || ArrayBuffer.isView(body) ||
    body instanceof URLSearchParams || body instanceof FormData || body instanceof Blob;
}

/** Bun tells the type of a text nowhere, and that of other bodies only before they are read. */
function tellType({ headers }: Request, body: RequestInit["body"]): void {
  if (typeof body !== "string" || headers.has("content-type")) return;
  headers.set("content-type", "text/plain;charset=UTF-8");
}

async function take(pool: Pool, body: Body, signal: AbortSignal): Promise<PooledConn> {
  try {
    return await pool.take(signal);
  } catch (error) {
    if (body instanceof BodyReader) body.cancel(error);
    throw error;
  }
}
