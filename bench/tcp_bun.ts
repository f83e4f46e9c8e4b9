/**
 * TCP by `Bun.connect`, which is faster there than `node:net`.
 *
 * @module
 */
import { Inbox } from "./inbox.ts";
import type { TcpEnd, TcpPair } from "./tcp.ts";

interface Socket {
  data: Inbox;
  write(data: Uint8Array): number;
  setNoDelay(on: boolean): boolean;
  end(): void;
}

interface Handlers {
  open(socket: Socket): void;
  data(socket: Socket, data: Uint8Array): void;
  error(socket: Socket, error: Error): void;
}

interface Net {
  listen(options: { hostname: string; port: number; socket: Handlers }): {
    readonly port: number;
    stop(): void;
  };
  connect(options: { hostname: string; port: number; socket: Handlers }): Promise<Socket>;
}

function toEnd(socket: Socket): TcpEnd {
  return {
    write(data: Uint8Array): void {
      const written = socket.write(data);
      if (written !== data.length) throw new Error(`Bun took ${written} bytes of ${data.length}`);
    },
    read: (buffer: Uint8Array): Promise<number> => socket.data.read(buffer),
    close: (): void => socket.end(),
  };
}

function handlers(onOpen: (socket: Socket) => void, onError: (error: Error) => void): Handlers {
  return {
    open(socket: Socket): void {
      socket.data = new Inbox();
      socket.setNoDelay(true);
      onOpen(socket);
    },
    data: (socket: Socket, data: Uint8Array): void => socket.data.push(data),
    error: (_socket: Socket, error: Error): void => onError(error),
  };
}

/** See `Tcp.pair()`. */
export async function bunPair(): Promise<TcpPair> {
  const { Bun: net } = globalThis as unknown as { Bun: Net };
  const hostname = "127.0.0.1";
  const accepted = Promise.withResolvers<Socket>();
  const socket = handlers(accepted.resolve, accepted.reject);
  const listener = net.listen({ hostname, port: 0, socket });
  const near = await net.connect({
    hostname,
    port: listener.port,
    socket: handlers(() => {}, accepted.reject),
  });
  const far = await accepted.promise;
  listener.stop();
  return { near: toEnd(near), far: toEnd(far) };
}
