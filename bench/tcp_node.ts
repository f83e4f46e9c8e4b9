/**
 * TCP by `node:net`.
 *
 * @module
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Inbox } from "./inbox.ts";
import type { TcpEnd, TcpPair } from "./tcp.ts";

function toEnd(socket: Socket): TcpEnd {
  socket.setNoDelay(true);
  const inbox = new Inbox();
  socket.on("data", (data: Uint8Array) => inbox.push(data));
  return {
    write: (data: Uint8Array): void => void socket.write(data),
    read: (buffer: Uint8Array): Promise<number> => inbox.read(buffer),
    close: (): void => void socket.destroy(),
  };
}

/** See `Tcp.pair()`. */
export function nodePair(): Promise<TcpPair> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
      socket.on("error", reject);
      server.once("connection", (accepted) => {
        server.close();
        resolve({ near: toEnd(socket), far: toEnd(accepted) });
      });
    });
  });
}
