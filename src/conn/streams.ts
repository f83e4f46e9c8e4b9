/**
 * A connection as web streams. Neither reads ahead nor buffers, so that a slow consumer leaves the
 * bytes in the socket and the peer runs out of credit.
 *
 * @module
 */
import type { Address } from "../address.ts";
import { requireObject } from "../arguments.ts";
import type { Conn } from "../conn.ts";

/** Bytes of buffer for a reader that brings none. */
const CHUNK_SIZE = 65_536;

/**
 * What `Conn.readable` gives: bytes of a STREAM connection; of a SEQPACKET connection one chunk for
 * each message, as long as the reader brings no buffer. `onEnd` is called at its end or failure,
 * before the stream is closed: closing throws where a reader is left with half of an element.
 */
export function readableOf(
  conn: Conn<Address>,
  onEnd: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const source = conn.type === "stream" ? byteSource(conn, onEnd) : messageSource(conn, onEnd);
  return new ReadableStream(source, { highWaterMark: 0 });
}

function byteSource(conn: Conn<Address>, onEnd: () => void): UnderlyingByteSource {
  return {
    type: "bytes",
    autoAllocateChunkSize: CHUNK_SIZE,
    async pull(controller): Promise<void> {
      // Without read-ahead somebody reads now, and then autoAllocateChunkSize sees to a view.
      const request = controller.byobRequest!;
      const { buffer, byteOffset, byteLength } = request.view!;
      const p = new Uint8Array(buffer, byteOffset, byteLength);
      const n = await orEnd(conn.read(p), onEnd);
      if (n === null) {
        onEnd();
        controller.close();
      }
      request.respond(n ?? 0);
    },
    cancel: () => conn.close(),
  };
}

function messageSource(conn: Conn<Address>, onEnd: () => void): UnderlyingByteSource {
  return {
    type: "bytes",
    async pull(controller): Promise<void> {
      for (;;) {
        const message = await orEnd(conn.receiveMessage(), onEnd);
        if (message === null) {
          onEnd();
          return endOf(controller);
        }
        // A chunk cannot be empty, so a message without bytes is passed over.
        if (message.data.length > 0) return controller.enqueue(message.data as Chunk);
      }
    },
    cancel: () => conn.close(),
  };
}

type Chunk = Uint8Array<ArrayBuffer>;

/** Closes; a reader that brought a buffer gets it back empty. */
function endOf(controller: ReadableByteStreamController): void {
  controller.close();
  controller.byobRequest?.respond(0);
}

/** The result of `call`, whose failure is the end of its stream too: that takes no more calls. */
async function orEnd<T>(call: Promise<T>, onEnd: () => void): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    onEnd();
    throw cause;
  }
}

/** For `Conn.writableOf()`. */
export interface WritableOptions {
  /**
   * Sends chunks from the caller's memory where that can be: a chunk is in use until its `write()`
   * settles; see `Conn.write()`.
   * @default {false}
   */
  readonly zeroCopy?: boolean | undefined;
}

/**
 * What `Conn.writable` gives, and once it is closed or fails tells `onEnd`: each chunk one
 * `write()`, the next when that is over.
 */
export function writableOf(
  conn: Conn<Address>,
  onEnd: () => void,
  options: WritableOptions = {},
): WritableStream<Uint8Array> {
  requireObject("options", options);
  const { zeroCopy } = options;
  return new WritableStream<Uint8Array>({
    start(controller): void {
      // A write that is pending would else hold off the abort until the peer reads.
      controller.signal.addEventListener("abort", () => conn.close());
    },
    async write(chunk): Promise<void> {
      await orEnd(conn.write(chunk, { zeroCopy }), onEnd);
    },
    async close(): Promise<void> {
      await orEnd(conn.closeWrite(), onEnd);
      onEnd();
    },
    abort: () => conn.close(),
  });
}
