/** Two connected ends, and what goes between them. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Address, VsockAddress } from "../../src/address.ts";
import { connect } from "../../src/connect.ts";
import type { Conn } from "../../src/conn.ts";
import { listen } from "../../src/listen.ts";
import type { Listener } from "../../src/listener.ts";
import { createLoopback } from "../../src/loopback/mod.ts";
import type { SocketOptionValues } from "../../src/options.ts";
import type { SocketType } from "../../src/socket.ts";

export interface Pair<A extends Address = VsockAddress> extends Disposable {
  readonly near: Conn<A>;
  readonly far: Conn<A>;
}

/** The ends of the one connection that `listener` takes. The caller closes them. */
export async function join<A extends Address>(
  listener: Listener<A>,
  connecting: Promise<Conn<A>>,
): Promise<Pair<A>> {
  using ends = new DisposableStack();
  const near = ends.use(await connecting);
  const far = ends.use(await listener.accept());
  const both = ends.move();
  return { near, far, [Symbol.dispose]: () => both.dispose() };
}

/** On a loopback of their own. */
export async function openPair(
  type: SocketType = "stream",
  options: SocketOptionValues = {},
): Promise<Pair> {
  const transport = createLoopback();
  using listener = listen({ cid: 1, port: 4000 }, { transport, type, options });
  return await join(listener, connect({ cid: 1, port: 4000 }, { transport, type, options }));
}

/** Bytes that are all different from their neighbours. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < Math.min(length, 251); i++) bytes[i] = i;
  for (let have = 251; have < length; have *= 2) bytes.copyWithin(have, 0, have);
  return bytes;
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

/** Reads to the end. */
export async function readToEnd(conn: Pick<Conn<Address>, "read">): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const p = new Uint8Array(65_536);
  for (let n; (n = await conn.read(p)) !== null;) pieces.push(p.slice(0, n));
  return new Uint8Array(Buffer.concat(pieces));
}

/** What stands for many bytes in an assertion, which would print all of them. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
