/**
 * Both ends of a flow over AF_UNIX by `node:net`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import type { Control } from "../src/cli/perf/control.ts";
import { patternSource } from "../src/cli/perf/source.ts";
import type { Flow, Received, Sent } from "./flow.ts";
import { Meter } from "./meter.ts";

/** Listens on `path`, accepts one connection, sends `flow` in chunks. */
export function sendUnix(path: string, flow: Flow, control: Control): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      server.close();
      socket.on("error", reject);
      resolve(sendAll(socket, flow));
    });
    server.on("error", reject);
    server.listen(path, () => control.announceListening());
  });
}

async function sendAll(socket: Socket, flow: Flow): Promise<Sent> {
  const hash = flow.hash ? createHash("sha256") : undefined;
  const chunk = patternSource(flow.chunkBytes).next(flow.chunkBytes);
  for (let sent = 0; sent < flow.bytes; sent += chunk.length) {
    hash?.update(chunk);
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once("drain", resolve));
  }
  await new Promise<void>((resolve) => socket.end(resolve));
  return { sha256: hash?.digest("hex") };
}

/** Connects to `path`, and takes all that comes: by data events, or into one buffer. */
export function receiveUnix(path: string, flow: Flow, control: Control): Promise<Received> {
  control.awaitListening(Infinity);
  const meter = new Meter(flow);
  const onread = {
    buffer: new Uint8Array(flow.chunkBytes),
    callback(length: number, buffer: Uint8Array): boolean {
      meter.take(buffer.subarray(0, length));
      return true;
    },
  };
  return new Promise((resolve, reject) => {
    const socket = connect(flow.way === "unix-onread" ? { path, onread } : { path });
    socket.on("error", reject);
    socket.on("end", () => resolve(meter.result()));
    if (flow.way === "unix") socket.on("data", (data: Uint8Array) => meter.take(data));
    else socket.resume();
  });
}
