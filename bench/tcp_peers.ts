/**
 * Receivers of TCP that the runtimes have themselves.
 *
 * @module
 */
import { type AddressInfo, createServer } from "node:net";
import { RUNTIME } from "../tests/helpers/runtime.ts";
import { denoNet } from "./deno_net.ts";
import type { TcpMeter } from "./tcp_receiver.ts";

/** The runtime's own ways to receive, the first of them its native one. */
export function runtimeWays(): readonly string[] {
  return RUNTIME === "deno" ? ["Deno.connect", "node:net"] : ["node:net"];
}

/** Receives one connection by `way`, until its end. `announce` gets the port. */
export function receiveByRuntime(
  way: string,
  chunk: number,
  meter: TcpMeter,
  announce: (port: number) => void,
): Promise<void> {
  return way === "node:net" ? byNode(meter, announce) : byDeno(chunk, meter, announce);
}

function byNode(meter: TcpMeter, announce: (port: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      server.close();
      socket.on("error", reject);
      socket.on("data", (data: Uint8Array) => meter.add(data.length));
      socket.on("end", () => {
        socket.end();
        resolve();
      });
    });
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => announce((server.address() as AddressInfo).port));
  });
}

async function byDeno(
  chunk: number,
  meter: TcpMeter,
  announce: (port: number) => void,
): Promise<void> {
  const listener = denoNet().listen({ hostname: "127.0.0.1", port: 0 });
  announce(listener.addr.port);
  const conn = await listener.accept();
  listener.close();
  const buffer = new Uint8Array(chunk);
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) meter.add(n);
  conn.close();
}
