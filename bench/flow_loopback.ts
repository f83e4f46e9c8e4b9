/**
 * Both ends of a flow over the loopback between threads, each blocking its thread.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { POLLIN, POLLOUT } from "../ffi/abi/poll.ts";
import { SHUT_WR } from "../ffi/abi/socket.ts";
import type { Control } from "../src/cli/perf/control.ts";
import { setCredit } from "../src/cli/perf/credit.ts";
import { patternSource } from "../src/cli/perf/source.ts";
import { type LoopbackEnd, openLoopback } from "../src/loopback/mod.ts";
import { SocketOptions } from "../src/options.ts";
import { openReceiver } from "../src/receive/receiver.ts";
import { type Socket, WOULD_BLOCK } from "../src/socket.ts";
import type { Flow, Received, Sent } from "./flow.ts";
import { Meter } from "./meter.ts";

const PORT = 1024;

/** Listens, accepts one connection, sends `flow` in chunks and waits for the peer's close. */
// deno-lint-ignore require-await
export async function sendLoopback(
  end: LoopbackEnd,
  flow: Flow,
  control: Control,
): Promise<Sent> {
  using transport = openLoopback(end);
  using listener = transport.socket("stream");
  setCredit(listener, flow.creditBytes, "copy");
  listener.bind({ cid: end.cid, port: PORT });
  listener.listen(0);
  control.announceListening();
  listener.waitSync(POLLIN, Infinity);
  using socket = listener.accept()!;
  const hash = flow.hash ? createHash("sha256") : undefined;
  const chunk = patternSource(flow.chunkBytes).next(flow.chunkBytes);
  for (let sent = 0; sent < flow.bytes; sent += chunk.length) {
    hash?.update(chunk);
    sendAll(socket, chunk);
  }
  socket.shutdown(SHUT_WR);
  while (socket.recv(new Uint8Array(1), 0) !== 0) socket.waitSync(POLLIN, Infinity);
  return { sha256: hash?.digest("hex") };
}

function sendAll(socket: Socket, chunk: Uint8Array): void {
  for (let rest = chunk; rest.length > 0;) {
    const sent = socket.send(rest, 0);
    if (sent === WOULD_BLOCK) socket.waitSync(POLLOUT, Infinity);
    else rest = rest.subarray(sent);
  }
}

/** Connects, and takes all that comes. */
// deno-lint-ignore require-await
export async function receiveLoopback(
  end: LoopbackEnd,
  flow: Flow,
  control: Control,
): Promise<Received> {
  control.awaitListening(Infinity);
  using transport = openLoopback(end);
  using socket = transport.socket("stream");
  setCredit(socket, flow.creditBytes, "copy");
  new SocketOptions(socket).zeroCopyReceive = flow.way !== "copy";
  socket.connect({ cid: end.peerCid, port: PORT });
  socket.waitSync(POLLOUT, Infinity);
  const meter = new Meter(flow);
  if (flow.way === "copy") receiveCopied(socket, flow, meter);
  else receiveMapped(socket, flow, meter);
  return meter.result();
}

function receiveCopied(socket: Socket, { chunkBytes }: Flow, meter: Meter): void {
  const buffer = new Uint8Array(chunkBytes);
  for (;;) {
    const length = socket.recv(buffer, 0);
    if (length === 0) return;
    if (length === WOULD_BLOCK) socket.waitSync(POLLIN, Infinity);
    else meter.take(length === buffer.length ? buffer : buffer.subarray(0, length));
  }
}

function receiveMapped(socket: Socket, { chunkBytes, way }: Flow, meter: Meter): void {
  using receiver = openReceiver(socket, { mode: "map", bufferBytes: chunkBytes });
  const options = { wait: way === "user-poll" ? "spin" : "poll" } as const;
  for (;;) {
    const batch = receiver.receiveSync(options);
    if (batch === null) return;
    for (const { data } of batch) meter.take(data);
    batch.release();
  }
}
