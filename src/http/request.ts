/**
 * A Request from what a client sent, and a Response to it.
 *
 * @module
 */
import { type IncomingMessage, type ServerResponse, validateHeaderValue } from "node:http";
import type { Duplex } from "node:stream";
import { clearTimeout, setTimeout } from "node:timers";
import { VsockError } from "../error.ts";
import { shown } from "../shown.ts";
import { bodyOf, BodyReader, fieldsOf, sendBody, wrongLength } from "./body.ts";
import { UnreadTime } from "./unread.ts";

/** A host and perhaps a port: nothing in it can lead the URL elsewhere. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{0,5})?$/i;

/** Told of what goes on after the response. */
type Hold = (over: Promise<void>) => void;

/**
 * The Request that `incoming` is, `outgoing` its response; `signal` aborts when its client is gone.
 *
 * @throws {TypeError} If a Request cannot be that: of a target that is no path, the method TRACE.
 * @throws {TypeError} If nobody can tell where its body ends.
 */
export function requestOf(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  signal: AbortSignal,
  hold: Hold,
): Request {
  const { method = "GET", rawHeaders } = incoming;
  if (method === "TRACE") throw new TypeError("Cannot serve TRACE"); // a Request of Bun can be that
  const headers = fieldsOf(rawHeaders);
  const url = urlOf(incoming, headers);
  // Deno takes the body for the next request.
  if (incoming.headers["transfer-encoding"] === "") throw new TypeError("Cannot read its body");
  const init: RequestInit = { method, headers, signal };
  if (hasBody(incoming)) {
    if (method === "GET" || method === "HEAD") incoming.resume(); // no Request can have it
    else {
      const body = requestBody(incoming, outgoing, signal, hold);
      Object.assign(init, { body, duplex: "half" });
    }
  }
  return new Request(url, init);
}

/** How long a reader that has begun may pause once the response is sent, in milliseconds. */
const PAUSE_MS = 2_000;

/** What is left of it when nobody will read on is discarded: the next request comes after it. */
function requestBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  signal: AbortSignal,
  hold: Hold,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if ("Bun" in globalThis) pushBack(incoming, incoming.socket);
  const chunks = incoming.iterator({ destroyOnReturn: false });
  const unread = new UnreadTime();
  let begun = false;
  let late: TypeError | undefined;
  const next = (): Promise<IteratorResult<Uint8Array>> => {
    begun = true;
    return late === undefined ? chunks.next() : Promise.reject(late);
  };
  const discardRest = (): void => void chunks.return?.().then(() => incoming.resume());
  const discardLate = (): void => {
    late = new TypeError(`Cannot read on: the response was sent more than ${PAUSE_MS} ms before`);
    discardRest();
  };
  // Before node:http, which closes a connection after its last response.
  outgoing.prependOnceListener("finish", () => {
    if (begun) return void hold(readOn(incoming, unread, discardLate));
    late = new TypeError("Cannot read a body: must be begun before the response is sent");
    incoming.resume(); // node:http does so by itself, but that of Deno not always
  });
  const toError = (cause: unknown): unknown => signal.aborted ? signal.reason : cause;
  return bodyOf({ next }, discardRest, toError, 0, unread);
}

/**
 * Settles when `incoming` is over; or when nobody has read any of it for `PAUSE_MS` from now on.
 * Then `discard` has been called, unless all of it had come: that is in nobody's way.
 */
function readOn(incoming: IncomingMessage, unread: UnreadTime, discard: () => void): Promise<void> {
  if (incoming.readableEnded || incoming.destroyed) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const { socket } = incoming;
  const since = performance.now();
  const look = (): void => {
    const left = PAUSE_MS - Math.min(performance.now() - since, unread.ms);
    if (left > 0) return void (timer = setTimeout(look, Math.ceil(left)).unref());
    if (!incoming.complete) discard();
    resolve();
  };
  let timer = setTimeout(look, PAUSE_MS).unref();
  // After the response node:http would let its reader wait.
  const onClose = (): void => {
    if (incoming.complete) return;
    const hint = "the connection closed before the whole body had come"; // by either end
    incoming.destroy(new VsockError("recv", "ECONNRESET", { hint }));
  };
  incoming.on("end", resolve).on("close", resolve);
  socket.on("close", onClose);
  return promise.then(() => {
    clearTimeout(timer);
    socket.off("close", onClose);
  });
}

/**
 * Stops reading the connection while `incoming` holds as much as it should. It is what node:http
 * does; that of Bun 1.4 does so on sockets of its own only, and would take all that a client sends.
 */
function pushBack(incoming: IncomingMessage, duplex: Duplex): void {
  const push = incoming.push.bind(incoming);
  const read = incoming._read.bind(incoming);
  incoming.push = (chunk, encoding): boolean => {
    const more = push(chunk, encoding);
    // After the end nothing asks for more, and the next request must be read.
    if (chunk === null) duplex.resume();
    else if (!more) duplex.pause();
    return more;
  };
  incoming._read = (size): void => {
    read(size);
    duplex.resume();
  };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return "transfer-encoding" in headers || Number(headers["content-length"] ?? 0) > 0;
}

/** A request with two Host fields has none that will do: joined, they are no host. */
function urlOf(
  { url = "", httpVersion }: IncomingMessage,
  fields: readonly (readonly [name: string, value: string])[],
): string {
  const hosts = fields.filter(([name]) => name.toLowerCase() === "host").map((field) => field[1]);
  if (hosts.length === 0 && httpVersion === "1.0") hosts.push("localhost");
  const host = hosts.join();
  if (!HOST.test(host)) throw new TypeError(`Cannot serve ${host}: must be a host`);
  if (/^https?:\/\//i.test(url)) return url;
  if (url !== "*" && !url.startsWith("/")) {
    throw new TypeError(`Cannot serve ${url}: must be a path`);
  }
  return `http://${host}${url === "*" ? "/*" : url}`;
}

/**
 * Sends `response`; settles when it is on its way or its client is gone. Its body is cancelled
 * where not all of it is sent.
 *
 * @throws {TypeError} If it is no Response that can be sent; then nothing was.
 * @throws What its body fails with; then a part may have been sent.
 */
export async function respond(response: Response, outgoing: ServerResponse): Promise<void> {
  let reader: BodyReader | undefined;
  try {
    requireResponse(response);
    const { headers, body } = response; // in this order: Bun tells the type before the body alone
    if (body !== null) reader = new BodyReader(body);
    await send(response, headers, reader, outgoing);
  } catch (error) {
    if (reader === undefined) discard(response, error);
    else reader.cancel(error);
    throw error;
  }
}

/** Cancels the body of what a handler gave, a Response or not, if nobody has it. */
export function discard(response: unknown, reason?: unknown): void {
  if (!(response instanceof Response) || response.body === null) return;
  response.body.cancel(reason).catch(() => {});
}

async function send(
  { status, statusText }: Response,
  headers: Headers,
  reader: BodyReader | undefined,
  outgoing: ServerResponse,
): Promise<void> {
  const told = toldLength(headers);
  const bodiless = outgoing.req.method === "HEAD" || HEAD_ALONE.has(status);
  const length = await (bodiless ? told ?? reader?.length() : lengthOf(reader, told));
  const fields: string[] = [];
  for (const [name, value] of headers) {
    if (FRAMING.has(name)) continue;
    validateHeaderValue(name, value); // Deno 2.9.0 would send it
    fields.push(name, value);
  }
  if (length !== undefined) fields.push("content-length", `${length}`);
  if (CLOSE.test(headers.get("connection") ?? "")) outgoing.shouldKeepAlive = false;
  outgoing.statusMessage = statusText; // instead of that of a response that could not be sent
  outgoing.writeHead(status, fields);
  if (reader === undefined) return void outgoing.end();
  if (reader.late) outgoing.flushHeaders();
  if (!bodiless) return await sendBody(reader, outgoing, length);
  outgoing.end();
  reader.cancel();
}

function requireResponse(response: Response): void {
  if (!(response instanceof Response)) {
    throw new TypeError(`Cannot respond: must be a Response: current value is ${shown(response)}`);
  }
  const { status, bodyUsed } = response;
  if (status < 200) throw new TypeError("Cannot respond: must be of a status from 200 to 599");
  if (bodyUsed) throw new TypeError("Cannot respond: the body of the Response was used before");
}

/** Statuses whose responses are a head alone; that of 205 has a body, of length 0. */
const HEAD_ALONE: ReadonlySet<number> = new Set([204, 304]);

/** What the handler says that the length is. */
function toldLength(headers: Headers): number | undefined {
  const text = headers.get("content-length");
  if (text === null) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw new TypeError(
    `Cannot respond: content-length must be a number of bytes: current value is ${text}`,
  );
}

/** The length to tell, `undefined` where nobody knows it; throws where another one is `told`. */
async function lengthOf(
  body: BodyReader | undefined,
  told: number | undefined,
): Promise<number | undefined> {
  const length = body === undefined ? 0 : await body.length();
  if (told !== undefined && length !== undefined && told !== length) {
    throw wrongLength(told, `${length}`);
  }
  return length ?? told;
}

/** How a handler says that its response is the last one of the connection. */
const CLOSE = /(?:^|,)\s*close\s*(?:,|$)/i;

/** What is sent by `send()` or node:http instead, and what announces trailers: none are sent. */
const FRAMING: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "keep-alive", "trailer", "transfer-encoding"],
]);
