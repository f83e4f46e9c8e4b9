/**
 * Bodies between the web's streams and node:http's, with back-pressure.
 *
 * @module
 */
import { nextTick } from "node:process";
import type { Writable } from "node:stream";
import { kindOf, plainView } from "../../ffi/view.ts";
import { shown } from "../shown.ts";
import type { UnreadTime } from "./unread.ts";

/**
 * The bytes of an incoming message. It takes a chunk when asked, or a few ahead.
 *
 * @param chunks Of the message.
 * @param onCancel What to do when its reader wants no more.
 * @param toError What the stream fails with when `chunks` does.
 * @param ahead Bytes to take before they are asked for: chunks until there are as many; 0 for none.
 * @param unread Counts the time for which the bytes taken ahead wait for a reader.
 */
export function bodyOf(
  chunks: AsyncIterator<Uint8Array>,
  onCancel: (reason: unknown) => void,
  toError: (cause: unknown) => unknown,
  ahead: number,
  unread: UnreadTime,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const strategy: QueuingStrategy<Uint8Array<ArrayBuffer>> = new ByteLengthQueuingStrategy({
    highWaterMark: ahead,
  });
  return new ReadableStream({
    async pull(controller): Promise<void> {
      unread.stop();
      try {
        const { value, done } = await chunks.next();
        if (done) return controller.close();
        // A copy, as the reader may transfer it and a node:buffer shares its memory with others.
        controller.enqueue(new Uint8Array(value));
        unread.start(controller);
      } catch (cause) {
        throw toError(cause);
      }
    },
    cancel: onCancel,
  }, strategy);
}

type Result = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>["read"]>>;

/** Bun gives what is in memory in pieces: so many bytes first, then 2 MiB at a time. */
const FIRST_PIECE = "Bun" in globalThis ? 16_384 : Infinity;

/** Reads a body, and can tell its length first where all of it is there already. */
export class BodyReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #ahead: Promise<Result>[] = [];
  #looking = false;
  #late = false;
  #whole: readonly Uint8Array[] | undefined;

  /** Locks `body`. */
  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** Whether `length()` has found that the first chunk is yet to come. */
  get late(): boolean {
    return this.#late;
  }

  /** All chunks, where `length()` has found it. */
  get whole(): readonly Uint8Array[] | undefined {
    return this.#whole;
  }

  /** What `length()` has found. */
  get known(): number | undefined {
    return this.#whole?.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** As of the stream's own reader. */
  read(): Promise<Result> {
    return this.#ahead.shift() ?? this.#reader.read();
  }

  /** As of the stream's own reader; how long that takes, and how it ends, is nobody's concern. */
  cancel(reason?: unknown): void {
    this.#reader.cancel(reason).catch(() => {});
  }

  /**
   * The length of a body that is one chunk, as that of a Response of a string is, or on Bun the
   * pieces of one; `undefined` where more may come. It waits for no more than this turn of the
   * event loop.
   *
   * @throws What the body fails with in this turn.
   */
  async length(): Promise<number | undefined> {
    this.#looking = this.#late = true;
    const turn = new Promise<void>((resolve) => nextTick(resolve));
    await Promise.race([this.#look(), turn]);
    this.#looking = false;
    return this.known;
  }

  async #look(): Promise<void> {
    const chunks: Uint8Array[] = [];
    do {
      const reading = this.#reader.read();
      this.#ahead.push(reading);
      const { value, done } = await reading;
      if (!this.#looking) return;
      this.#late = false;
      if (done) return void (this.#whole = chunks);
      if (!isBytes(value)) return; // sending it fails
      chunks.push(value);
    } while (chunks.length < 2 || chunks.length === 2 && chunks[0]!.byteLength === FIRST_PIECE);
  }
}

/**
 * Writes all of `body`, each chunk when the one before is on its way, and ends `outgoing`. Where
 * `outgoing` is closed before its end, `body` is cancelled.
 *
 * @param length What the peer was told of its length, `undefined` for nothing.
 * @param carrier What tells that `outgoing` takes more: a ClientRequest does not after its
 * response.
 * @throws {TypeError} If `body` is longer or shorter; then `outgoing` is still open.
 * @throws What `body` fails with; likewise.
 */
export async function sendBody(
  body: BodyReader,
  outgoing: Writable,
  length?: number,
  carrier: Writable = outgoing,
): Promise<void> {
  if (body.whole !== undefined) return sendWhole(body.whole, outgoing);
  let sent = 0;
  // Ends a pending read.
  const onClose = (): void => body.cancel(outgoing.errored ?? undefined);
  outgoing.once("close", onClose);
  try {
    while (!outgoing.destroyed) {
      const { value, done } = await body.read();
      if (outgoing.destroyed) break;
      if (done) {
        if (length !== undefined && sent < length) throw wrongLength(length, `${sent}`);
        return void outgoing.end();
      }
      requireChunk(value);
      if (value.byteLength === 0) continue; // node:http throws at a detached one where none sees it
      sent += value.byteLength;
      if (length !== undefined && sent > length) throw wrongLength(length, `${sent} or more`);
      if (!outgoing.write(plainView(value))) await drained(outgoing, carrier);
    }
    body.cancel();
  } catch (error) {
    body.cancel(error);
    throw error;
  } finally {
    outgoing.off("close", onClose);
  }
}

/** Head and body go out in one write where the body is one chunk. */
function sendWhole(chunks: readonly Uint8Array[], outgoing: Writable): void {
  if (outgoing.destroyed) return;
  const filled = chunks.filter(({ byteLength }) => byteLength > 0).map(plainView);
  const last = filled.pop();
  for (const chunk of filled) outgoing.write(chunk);
  outgoing.end(last);
}

/** Waits until `outgoing` takes more, or is closed. */
function drained(outgoing: Writable, carrier: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      outgoing.off("drain", settle).off("close", settle);
      carrier.off("drain", settle);
      resolve();
    };
    outgoing.on("drain", settle).on("close", settle);
    carrier.on("drain", settle);
  });
}

/** A body has `bytes`, and its peer was told of `told`. */
export function wrongLength(told: number, bytes: string): TypeError {
  return new TypeError(
    `Cannot send a body of ${bytes} bytes: content-length must be that: current value is ${told}`,
  );
}

/**
 * Of any realm: under jsdom and jest a program has another Uint8Array than the runtime's streams.
 * The node:http of Bun takes its own only, as `plainView()` gives.
 */
function isBytes(value: unknown): value is Uint8Array {
  return kindOf(value) === "Uint8Array";
}

function requireChunk(value: unknown): asserts value is Uint8Array {
  if (isBytes(value)) return;
  throw new TypeError(
    `Cannot send a body: must be of Uint8Arrays: current value is ${shown(value)}`,
  );
}

/** Header fields of a message, several of one name included. */
export function fieldsOf(rawHeaders: readonly string[]): [name: string, value: string][] {
  const fields: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    fields.push([rawHeaders[i]!, rawHeaders[i + 1]!]);
  }
  return fields;
}
