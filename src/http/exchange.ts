/**
 * One request and its response on a connection.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type ClientRequest, type IncomingMessage, request as open } from "node:http";
import { nextTick } from "node:process";
import type { Duplex } from "node:stream";
import { VsockError } from "../error.ts";
import { bodyOf, BodyReader, fieldsOf, sendBody } from "./body.ts";
import { failure } from "./failure.ts";
import type { PooledConn } from "./pool.ts";
import { UnreadTime } from "./unread.ts";

/** The body of a request; a reader can be sent once only. */
export type Body = Uint8Array<ArrayBuffer> | Blob | BodyReader | null;

/** A kept connection was closed before a byte of an answer came: its server was not there. */
export class StaleError extends TypeError {
  /** As `failed`, which it is if the request is not sent once more. */
  constructor(failed: TypeError) {
    super(failed.message, { cause: failed.cause });
  }
}

/** What may be sent twice: it comes to the same. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/**
 * Sends `request` with `body` on `conn`, which is free again, or destroyed, when the response is
 * over.
 *
 * @throws {StaleError} If the request may be sent once more on another connection.
 * @throws {TypeError} If it failed.
 * @throws The reason of `signal` where that is aborted.
 */
export function exchange(
  conn: PooledConn,
  request: Request,
  body: Body,
  signal: AbortSignal,
): Promise<Response> {
  return new Exchange(conn, request, body, signal).response;
}

class Exchange {
  readonly #conn: PooledConn;
  readonly #request: Request;
  readonly #body: Body;
  readonly #signal: AbortSignal;
  readonly #bytesBefore: number;
  readonly #outgoing: ClientRequest;
  #incoming: IncomingMessage | undefined;
  #failed: TypeError | undefined;
  #over = false; // Deno does not tell it by outgoing.closed
  readonly #response = Promise.withResolvers<Response>();

  constructor(conn: PooledConn, request: Request, body: Body, signal: AbortSignal) {
    this.#conn = conn;
    this.#request = request;
    this.#body = body;
    this.#signal = signal;
    this.#bytesBefore = conn.duplex.bytesRead;
    this.#outgoing = start(conn, request, body);
    this.#outgoing.maxHeadersCount = 0; // as of a server
    this.#listen();
    send(this.#outgoing, body, conn.duplex).catch((cause) => {
      this.#failed = failure("the body of the request failed", cause);
      this.#response.reject(this.#toError(cause));
      this.#end(cause);
    });
    if (signal.aborted) this.#onAbort();
  }

  get response(): Promise<Response> {
    return this.#response.promise;
  }

  #listen(): void {
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#outgoing
      .on("error", (cause) => this.#onError(cause))
      .once("close", () => this.#onClose())
      .once("response", (message) => this.#onResponse(message))
      // The end of a kept one may have come before node:http listens for it.
      .once("socket", (duplex) => {
        if (duplex.readableEnded) duplex.destroy();
      });
  }

  readonly #onAbort = (): void => this.#end(this.#signal.reason);

  #onError(cause: unknown): void {
    if (this.#incoming !== undefined) return; // who reads the body is told of it
    const silent = this.#conn.kept && this.#conn.duplex.bytesRead === this.#bytesBefore;
    const again = IDEMPOTENT.has(this.#request.method) && !(this.#body instanceof BodyReader);
    const stale = silent && again && !this.#signal.aborted;
    this.#response.reject(stale ? new StaleError(lost(cause)) : this.#toError(cause));
  }

  #onClose(): void {
    this.#over = true;
    this.#signal.removeEventListener("abort", this.#onAbort);
    if (this.#incoming === undefined) this.#response.reject(this.#toError(undefined));
  }

  #onResponse(incoming: IncomingMessage): void {
    this.#incoming = incoming;
    incoming.on("error", () => {});
    nextTick(() => this.#answer(incoming)); // a short body has come with its head by then
  }

  #answer(incoming: IncomingMessage): void {
    if (this.#signal.aborted) return this.#response.reject(this.#signal.reason);
    try {
      const response = responseOf(incoming, this.#request.method, () => this.#bodyOf(incoming));
      this.#response.resolve(withUrl(response, this.#request.url));
    } catch (cause) { // its status is 600, say
      this.#response.reject(failure("the response is none of the web's", cause));
      this.#end(cause);
    }
  }

  #bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
    const unread = new UnreadTime();
    this.#conn.setHolder(unread);
    const onCancel = (reason: unknown): void => {
      if (!incoming.readableEnded) this.#end(reason); // else there is nothing to save
    };
    const chunks = incoming.iterator({ destroyOnReturn: false });
    return bodyOf(chunks, onCancel, (cause) => this.#toError(cause), AHEAD, unread);
  }

  #toError(cause: unknown): unknown {
    return this.#signal.aborted ? this.#signal.reason : this.#failed ?? lost(cause);
  }

  /** Gives up, and the connection with it. */
  #end(reason: unknown): void {
    if (this.#over) return; // another request has the connection by now
    const half = this.#incoming ?? this.#outgoing;
    half.destroy(reason instanceof Error ? reason : undefined);
    this.#conn.duplex.destroy();
  }
}

/** What node:http sees to by itself, or what no fetch may set. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"],
  ...["proxy-connection", "transfer-encoding", "upgrade"],
]);

function start(agent: PooledConn, request: Request, body: Body): ClientRequest {
  const { host, pathname, search } = new URL(request.url);
  const headers: Record<string, string> = { host };
  for (const [name, value] of request.headers) if (!FORBIDDEN.has(name)) headers[name] = value;
  const length = lengthOf(body);
  if (length !== undefined) headers["content-length"] = `${length}`;
  else if (body !== null) headers["transfer-encoding"] = "chunked";
  try {
    // Without its host: an agent keeps the connections of each host apart.
    return open({ agent, method: request.method, path: pathname + search, headers });
  } catch (cause) {
    // A Headers takes controls that node:http refuses.
    agent.duplex.destroy(); // no request has it, to give it back
    if (body instanceof BodyReader) body.cancel(cause);
    throw failure("the request cannot be sent", cause);
  }
}

async function send(outgoing: ClientRequest, body: Body, duplex: Duplex): Promise<void> {
  if (body === null) return void outgoing.end();
  if (body instanceof Uint8Array) return void outgoing.end(body);
  const reader = body instanceof Blob ? new BodyReader(body.stream()) : body;
  await sendBody(reader, outgoing, lengthOf(body), duplex);
}

function lengthOf(body: Body): number | undefined {
  if (body instanceof Blob) return body.size;
  return body instanceof BodyReader ? body.known : body?.length;
}

/** A response that ends within so many bytes needs no reader to free its connection. */
const AHEAD = 65_536;

/** Statuses of which a Response must have no body. */
const NULL_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** What needs no stream has none: to read one takes longer than a request. */
function responseOf(
  incoming: IncomingMessage,
  method: string,
  rest: () => ReadableStream<Uint8Array<ArrayBuffer>>,
): Response {
  const { statusCode: status = 0, statusMessage: statusText = "", rawHeaders } = incoming;
  const init = { status, statusText, headers: fieldsOf(rawHeaders) };
  if (method === "HEAD" || NULL_BODY.has(status)) {
    incoming.resume();
    return new Response(null, init);
  }
  return new Response(incoming.complete ? takeAll(incoming) : rest(), init);
}

/** The body of a message that has come whole. */
function takeAll(incoming: IncomingMessage): Uint8Array<ArrayBuffer> {
  const chunks: Buffer[] = [];
  for (let chunk = incoming.read(); chunk !== null; chunk = incoming.read()) chunks.push(chunk);
  return new Uint8Array(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
}

/** Gives a Response, and what is cloned from it, the URL that was asked for. */
function withUrl(response: Response, url: string): Response {
  const clone = (): Response => withUrl(Response.prototype.clone.call(response), url);
  return Object.defineProperties(response, {
    url: { value: url.replace(/#.*/, "") },
    clone: { value: clone },
  });
}

/** What a socket refused, or node:http's word for a reset as the reset that it is. */
function lost(cause: unknown): TypeError {
  const { code } = (cause ?? {}) as { code?: unknown };
  const reset = cause === undefined || code === "ECONNRESET" && !(cause instanceof VsockError);
  const hint = "the server closed before the whole answer had come";
  const error = reset ? new VsockError("recv", "ECONNRESET", { hint, cause }) : cause;
  return failure("the connection failed", error);
}
