/**
 * The near end of a port of the guest: it prints what the command prints, and knows when it ended.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { Transform, type TransformCallback, type Writable } from "node:stream";

/** Passes a stream on up to a mark, and keeps the line behind it. */
export class UntilMark extends Transform {
  readonly #mark: Buffer;
  readonly #found: (line: string) => void;
  #held: Buffer = Buffer.alloc(0);

  /** `mark` is a text that the stream itself never has; `found` gets the line after it. */
  constructor(mark: string, found: (line: string) => void) {
    super();
    this.#mark = Buffer.from(mark);
    this.#found = found;
  }

  /** Holds back what may be the mark until it is seen to be none. */
  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    const bytes = Buffer.concat([this.#held, chunk]);
    const at = this.#whereMarkMayBe(bytes);
    this.#held = bytes.subarray(at);
    const line = this.#held.subarray(this.#mark.length).toString();
    if (line.endsWith("\n")) this.#found(line);
    done(null, bytes.subarray(0, at));
  }

  /** A stream that breaks off has no mark: what was held back is its own. */
  override _flush(done: TransformCallback): void {
    const marked = this.#held.subarray(0, this.#mark.length).equals(this.#mark);
    done(null, marked ? null : this.#held);
  }

  #whereMarkMayBe(bytes: Buffer): number {
    const at = bytes.indexOf(this.#mark);
    if (at >= 0) return at;
    for (let start = Math.max(0, bytes.length - this.#mark.length); start < bytes.length; start++) {
      if (this.#mark.subarray(0, bytes.length - start).equals(bytes.subarray(start))) return start;
    }
    return bytes.length;
  }
}

/** A Unix socket that QEMU connects to, and the end of the command's output there. */
export class Port {
  /** Resolves with the exit code that the guest said at the end of its output. */
  readonly code: Promise<number>;
  /** Where it listens. */
  readonly path: string;
  readonly #server: Server;
  #passed: Promise<unknown> = Promise.resolve();

  /** Listens at `path`; what comes before `mark` goes to `sink`. The caller closes it. */
  constructor(path: string, mark: string, sink: Writable) {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.code = promise;
    this.path = path;
    this.#server = createServer((socket) => {
      const output = new UntilMark(mark, (line) => resolve(Number.parseInt(line)));
      this.#passed = once(output, "end");
      // QEMU was killed: what it wrote has been read, or its guest has lost it anyway.
      socket.on("error", () => output.end());
      socket.pipe(output).pipe(sink, { end: false });
    });
    this.#server.listen(path);
  }

  /** Waits until all that was received is passed on. QEMU must have ended. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    await closed;
    await this.#passed;
  }
}
