/**
 * Messages as lines of JSON, for channels that carry bytes.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { StringDecoder } from "node:string_decoder";

/** A way for messages in both directions. */
export interface Messages extends AsyncIterable<unknown> {
  /** Sends what JSON has, and bytes; resolves when it is on the way. Those before it go first. */
  send(message: unknown): Promise<void>;
}

const BYTES = "$base64";

/** The line for `message`; a Uint8Array anywhere in it stays one. */
export function encodeLine(message: unknown): Buffer {
  const text = JSON.stringify(message, (_, value) => {
    if (!(value instanceof Uint8Array)) return value;
    return {
      [BYTES]: Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64"),
    };
  });
  return Buffer.from(`${text}\n`);
}

/** Makes messages of bytes, however they are cut. */
export class LineDecoder {
  readonly #utf8: StringDecoder = new StringDecoder("utf8");
  #rest = "";

  /** The messages that end in `chunk`. Throws SyntaxError where a line is no JSON. */
  push(chunk: Uint8Array): unknown[] {
    const lines = (this.#rest + this.#utf8.write(Buffer.from(chunk))).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.map((line) => JSON.parse(line, revive));
  }
}

function revive(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !(BYTES in value)) return value;
  return new Uint8Array(Buffer.from(String(value[BYTES]), "base64"));
}
