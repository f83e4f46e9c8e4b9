/** Two connected ends over TCP on this machine. */
import type { TcpAddress } from "../../src/address.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import type { SocketOptionValues } from "../../src/options.ts";
import { join, type Pair } from "./pair.ts";

export type TcpPair = Pair<TcpAddress>;

/** `options` are of both ends. The caller closes them. */
export async function openTcpPair(
  hostname = "127.0.0.1",
  options: SocketOptionValues = {},
): Promise<TcpPair> {
  using listener = listen({ hostname, port: 0 }, { options });
  return await join(listener, connect({ hostname, port: listener.addr.port }, { options }));
}
