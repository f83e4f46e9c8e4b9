/** Two connected ends over TCP on this machine. */
import type { TcpAddress } from "../../src/address.ts";
import type { Conn } from "../../src/conn.ts";
import { connect } from "../../src/connect.ts";
import { listen } from "../../src/listen.ts";
import type { SocketOptionValues } from "../../src/options.ts";

export interface TcpPair extends Disposable {
  readonly near: Conn<TcpAddress>;
  readonly far: Conn<TcpAddress>;
}

/** `options` are of both ends. The caller closes them. */
export async function openTcpPair(
  hostname = "127.0.0.1",
  options: SocketOptionValues = {},
): Promise<TcpPair> {
  using listener = listen({ hostname, port: 0 }, { options });
  const near = await connect({ hostname, port: listener.addr.port }, { options });
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
