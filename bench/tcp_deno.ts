/**
 * TCP by `Deno.connect`.
 *
 * @module
 */
import type { TcpEnd, TcpPair } from "./tcp.ts";

interface Conn {
  read(p: Uint8Array): Promise<number | null>;
  write(p: Uint8Array): Promise<number>;
  close(): void;
  setNoDelay(on: boolean): void;
}

interface Net {
  listen(options: { hostname: string; port: number }): {
    readonly addr: { readonly port: number };
    accept(): Promise<Conn>;
    close(): void;
  };
  connect(options: { hostname: string; port: number }): Promise<Conn>;
}

function toEnd(conn: Conn): TcpEnd {
  conn.setNoDelay(true);
  return {
    write: (data: Uint8Array): Promise<number> => conn.write(data),
    read: (buffer: Uint8Array): Promise<number | null> => conn.read(buffer),
    close: (): void => conn.close(),
  };
}

/** See `Tcp.pair()`. */
export async function denoPair(): Promise<TcpPair> {
  const { Deno: net } = globalThis as unknown as { Deno: Net };
  const hostname = "127.0.0.1";
  const listener = net.listen({ hostname, port: 0 });
  const [near, far] = await Promise.all([
    net.connect({ hostname, port: listener.addr.port }),
    listener.accept(),
  ]);
  listener.close();
  return { near: toEnd(near), far: toEnd(far) };
}
