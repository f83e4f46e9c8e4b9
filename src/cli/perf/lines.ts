/**
 * Objects of JSON over a connection, a line each, from a peer that may send anything.
 *
 * @module
 */
import type { Address } from "../../address.ts";
import type { Conn } from "../../conn.ts";

/** Bytes of the longest line. */
const LINE_MAX = 16_384;
const NEWLINE = 10;

/** Sends and receives lines. The connection is the caller's. */
export class Lines {
  readonly #conn: Conn<Address>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(conn: Conn<Address>) {
    this.#conn = conn;
  }

  /** Sends `message` as one line. */
  async send(message: object): Promise<void> {
    await this.#conn.write(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
  }

  /**
   * The next object, `undefined` at the end. `timeoutMs` is for each piece of its line.
   *
   * @throws {Error} If it is none, too long, or too late.
   */
  async receive(timeoutMs?: number): Promise<Readonly<Record<string, unknown>> | undefined> {
    const buffer = new Uint8Array(4_096);
    for (;;) {
      const end = this.#rest.indexOf(NEWLINE);
      if (end >= 0) {
        const line = new TextDecoder().decode(this.#rest.subarray(0, end));
        this.#rest = this.#rest.slice(end + 1);
        return parseObject(line);
      }
      const got = await this.#conn.read(buffer, { timeoutMs });
      if (got === null) return undefined;
      const longer = new Uint8Array(this.#rest.length + got);
      if (longer.length > LINE_MAX) throw new Error("the other end sent a line that is too long");
      longer.set(this.#rest);
      longer.set(buffer.subarray(0, got), this.#rest.length);
      this.#rest = longer;
    }
  }
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // It is no JSON at all.
  }
  throw strangeAnswer(line);
}

/** The error of what no end of a measurement says. */
export function strangeAnswer(said: string): Error {
  return new Error(
    `the other end is no vsockit perf: it sent ${JSON.stringify(said.slice(0, 40))}`,
  );
}
