/**
 * A TCP connection within this event loop, by the fastest API that the runtime has for it.
 *
 * @module
 */
import { RUNTIME } from "../tests/helpers/runtime.ts";
import { denoPair } from "./deno_net.ts";
import { bunPair } from "./tcp_bun.ts";
import { nodePair } from "./tcp_node.ts";

/** One end. */
export interface TcpEnd {
  /** Sends all of `data`. */
  write(data: Uint8Array): Promise<unknown> | void;
  /** Receives bytes into `buffer`: how many, `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Ends the connection. */
  close(): void;
}

/** Two ends of one connection. */
export interface TcpPair {
  readonly near: TcpEnd;
  readonly far: TcpEnd;
}

/** One runtime's TCP. */
export interface Tcp {
  /** Whose it is. */
  readonly api: string;
  /** Connects over 127.0.0.1, with TCP_NODELAY. The caller closes both ends. */
  pair(): Promise<TcpPair>;
}

async function denoTcpPair(): Promise<TcpPair> {
  const pair = await denoPair({ hostname: "127.0.0.1", port: 0 });
  for (const conn of [pair.near, pair.far]) conn.setNoDelay(true);
  return pair;
}

/** That of this runtime. */
export function tcp(): Tcp {
  if (RUNTIME === "deno") return { api: "Deno.connect", pair: denoTcpPair };
  if (RUNTIME === "bun") return { api: "Bun.connect", pair: bunPair };
  return { api: "node:net", pair: nodePair };
}
