/**
 * What host and guest of `deno task bench:device` have in common.
 *
 * @module
 */
import type { Conn, Listener } from "../mod.ts";

/**
 * Who listens where: the host to `echo` and `sink`, the guest to `tasks`, and to `echo` on CID 1.
 */
export const DEVICE_PORTS = { echo: 1400, sink: 1401, tasks: 1402 } as const;
/** Bytes of a round trip. */
export const MESSAGE_BYTES = 64;

/** What the host asks a guest for. */
export type GuestTask =
  | { readonly name: "round trips" }
  | { readonly name: "stream"; readonly connections: number };

/** Fills `buffer`; throws where the stream ends before. */
export async function readWhole(conn: Conn, buffer: Uint8Array): Promise<void> {
  for (let at = 0; at < buffer.length;) {
    const got = await conn.read(buffer.subarray(at));
    if (got === null) throw new Error("The peer has closed");
    at += got;
  }
}

/** Sends back what comes, over each connection, until the listener closes. */
export async function echoAll(listener: Listener): Promise<void> {
  for await (const conn of listener) {
    const serve = async (): Promise<void> => {
      using _ = conn;
      const buffer = new Uint8Array(MESSAGE_BYTES);
      for (let got; (got = await conn.read(buffer)) !== null;) {
        for (let sent = 0; sent < got;) sent += await conn.write(buffer.subarray(sent, got));
      }
    };
    serve().catch(() => {}); // a peer that is gone
  }
}
