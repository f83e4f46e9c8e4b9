/** Two connected ends on a loopback of their own. */
import { connect } from "../../src/connect.ts";
import type { Conn } from "../../src/conn.ts";
import { listen } from "../../src/listen.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import type { SocketOptionValues } from "../../src/options.ts";
import type { SocketType } from "../../src/socket.ts";

export interface Pair extends Disposable {
  readonly near: Conn;
  readonly far: Conn;
}

export async function openPair(
  type: SocketType = "stream",
  options: SocketOptionValues = {},
): Promise<Pair> {
  const transport = createLoopback();
  using listener = listen({ cid: 1, port: 4000 }, { transport, type, options });
  const near = await connect({ cid: 1, port: 4000 }, { transport, type, options });
  const far = await listener.accept();
  return {
    near,
    far,
    [Symbol.dispose](): void {
      near.close();
      far.close();
    },
  };
}

/** Bytes that are all different from their neighbours. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => i % 251);
}

/** Reads until `length` bytes are there, or the end. */
export async function readAll(conn: Conn, length: number): Promise<Uint8Array> {
  const all = new Uint8Array(length);
  let have = 0;
  while (have < length) {
    const n = await conn.read(all.subarray(have));
    if (n === null) break;
    have += n;
  }
  return all.subarray(0, have);
}
