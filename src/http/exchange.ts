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

/** What a request carries; a reader can do so once. */
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
  const bytesBefore = conn.duplex.bytesRead;
  const outgoing = start(conn, request, body);
  let incoming: IncomingMessage | undefined;
  let failed: TypeError | undefined;
  let over = false; // Deno does not tell it by outgoing.closed
  const end = (reason?: unknown): void => {
    if (over) return; // another request has the connection by now
    (incoming ?? outgoing).destroy(reason instanceof Error ? reason : undefined);
    conn.duplex.destroy();
  };
  const onAbort = (): void => end(signal.reason);
  const toError = (cause: unknown): unknown =>
    signal.aborted ? signal.reason : failed ?? lost(cause);
  signal.addEventListener("abort", onAbort, { once: true });
  outgoing.once("close", () => {
    over = true;
    signal.removeEventListener("abort", onAbort);
  });
  // The end of a kept one may have come before node:http listens for it.
  outgoing.once("socket", (duplex) => {
    if (duplex.readableEnded) duplex.destroy();
  });
  return new Promise((resolve, reject) => {
    outgoing.on("error", (cause) => {
      if (incoming !== undefined) return; // who reads the body is told of it
      const silent = conn.kept && conn.duplex.bytesRead === bytesBefore;
      const again = IDEMPOTENT.has(request.method) && !(body instanceof BodyReader);
      const stale = silent && again && !signal.aborted;
      reject(stale ? new StaleError(lost(cause)) : toError(cause));
    });
    outgoing.once("close", () => {
      if (incoming === undefined) reject(toError(undefined)); // where no error was told
    });
    outgoing.once("response", (message) => {
      incoming = message;
      message.on("error", () => {}); // likewise
      const onCancel = (reason: unknown): void => {
        if (!message.readableEnded) end(reason); // else there is nothing to save
      };
      const answer = (): void => {
        if (signal.aborted) return reject(signal.reason);
        const unread = new UnreadTime();
        conn.isHeldBy(unread);
        const rest = (): ReadableStream<Uint8Array<ArrayBuffer>> =>
          bodyOf(message.iterator({ destroyOnReturn: false }), onCancel, toError, AHEAD, unread);
        try {
          resolve(withUrl(responseOf(message, request.method, rest), request.url));
        } catch (cause) {
          reject(failure("the response is none of the web's", cause)); // its status is 600, say
          end(cause);
        }
      };
      nextTick(answer); // a short body has come with its head by then
    });
    send(outgoing, body, conn.duplex).catch((cause) => {
      failed = failure("the body of the request failed", cause);
      reject(toError(cause));
      end(cause);
    });
    if (signal.aborted) onAbort();
  });
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
    if (body instanceof BodyReader) void body.cancel(cause);
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
  const error = reset ? new VsockError("recv", "ECONNRESET", { cause }) : cause;
  return failure("the connection failed", error);
}
