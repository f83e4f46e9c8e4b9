/** A server and a client on a loopback of their own. */
import type { VsockAddress } from "../../../src/address.ts";
import { connect } from "../../../src/connect.ts";
import type { Conn } from "../../../src/conn.ts";
import { createFetch, type FetchClient, type FetchOptions } from "../../../src/http/fetch.ts";
import {
  type HttpServer,
  serve,
  type ServeHandler,
  type ServeOptions,
} from "../../../src/http/serve.ts";
import { listen } from "../../../src/listen.ts";
import { createLoopback } from "../../../src/loopback/mod.ts";

const ADDRESS = { cid: 1, port: 4001 };

export class Site implements AsyncDisposable {
  readonly server: HttpServer;
  readonly client: FetchClient;
  /** How often the client dialled. */
  dials = 0;
  readonly #transport = createLoopback();

  constructor(
    handler: ServeHandler<VsockAddress>,
    options: ServeOptions = {},
    fetchOptions: Partial<FetchOptions> = {},
  ) {
    const listener = listen(ADDRESS, { transport: this.#transport });
    this.server = serve(listener, handler, options);
    const connect = (): Promise<Conn> => {
      this.dials += 1;
      return this.dial();
    };
    this.client = createFetch({ connect, ...fetchOptions });
  }

  fetch(path: string, init?: RequestInit & { duplex?: "half" }): Promise<Response> {
    return this.client.fetch(`http://localhost${path}`, init);
  }

  /** A connection of the test's own. */
  dial(): Promise<Conn> {
    return connect(ADDRESS, { transport: this.#transport });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.server.shutdown();
  }
}

/** All that comes until the end, as text. */
export async function readText(conn: Conn): Promise<string> {
  let text = "";
  const p = new Uint8Array(4096);
  for (let n = await conn.read(p); n !== null; n = await conn.read(p)) {
    text += new TextDecoder().decode(p.subarray(0, n));
  }
  return text;
}

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** `length` bytes in chunks of 64 KiB, each made when it is asked for; `onPull` counts them. */
export function source(length: number, onPull: () => void = () => {}): ReadableStream<Chunk> {
  let left = length;
  return new ReadableStream({
    pull(controller): void {
      if (left === 0) return controller.close();
      onPull();
      const chunk = new Uint8Array(Math.min(left, 65_536)).fill(left % 251);
      left -= chunk.length;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}

type Chunk = Uint8Array<ArrayBuffer>;
