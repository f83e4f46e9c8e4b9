/**
 * A receiver of TCP, in a process of its own: `tcp_receiver.ts WAY CHUNK WARMUP MAXSEG`. As C's
 * `tcp_reference` it prints its port, then its result.
 *
 * @module
 */
import process from "node:process";
import { POLLIN } from "../ffi/abi/poll.ts";
import { type Conn, listen, type TcpAddress } from "../mod.ts";
import { WOULD_BLOCK } from "../src/socket.ts";
import { receiveByRuntime } from "./tcp_peers.ts";

/** What a receiver has to say. */
export interface TcpReceived {
  /** Bytes in all. */
  readonly bytes: number;
  /** Those of them that were measured: after the warm-up. */
  readonly measured: number;
  /** Those of these that were mapped. */
  readonly mapped: number;
  /** How long the measured bytes took. */
  readonly seconds: number;
  /** The time of processors that this process took for them. */
  readonly cpu: number;
}

/** Counts what arrives, and takes the time after the warm-up. */
export class TcpMeter {
  readonly #warmup: number;
  #bytes = 0;
  #mapped = 0;
  #first: TcpReceived | undefined;

  /** `warmup` bytes come before the clock starts. */
  constructor(warmup: number) {
    this.#warmup = warmup;
  }

  /** Counts `bytes`, `mapped` of them not copied. */
  add(bytes: number, mapped = 0): void {
    this.#bytes += bytes;
    this.#mapped += mapped;
    if (this.#first === undefined && this.#bytes >= this.#warmup) this.#first = this.#now();
  }

  /** What was measured until now. */
  end(): TcpReceived {
    const [now, first = now] = [this.#now(), this.#first];
    return {
      bytes: now.bytes,
      measured: now.bytes - first.bytes,
      mapped: now.mapped - first.mapped,
      seconds: now.seconds - first.seconds,
      cpu: now.cpu - first.cpu,
    };
  }

  #now(): TcpReceived {
    const { user, system } = process.cpuUsage();
    const seconds = performance.now() / 1000;
    const [bytes, mapped] = [this.#bytes, this.#mapped];
    return { bytes, measured: 0, mapped, seconds, cpu: (user + system) / 1e6 };
  }
}

/** Blocks this thread, as C does: by recv(2), or by mapping. */
function receiveSync(conn: Conn<TcpAddress>, way: string, chunk: number, meter: TcpMeter): void {
  const { socket } = conn;
  if (way === "copy") {
    const buffer = new Uint8Array(chunk);
    for (;;) {
      socket.waitSync(POLLIN, Infinity);
      const length = socket.recv(buffer, 0);
      if (length === 0) return;
      if (length !== WOULD_BLOCK) meter.add(length);
    }
  }
  using receiver = conn.receiver({ mode: "map", bufferBytes: chunk });
  for (;;) {
    receiver.waitSync();
    const batch = receiver.tryReceive();
    if (batch === null) return;
    if (batch === undefined) continue;
    for (const packet of batch) packet.data; // makes the views
    const { byteLength, mappedBytes } = batch;
    batch.release();
    meter.add(byteLength, mappedBytes);
  }
}

async function receive(way: string, chunk: number, warmup: number, mss: number): Promise<void> {
  const meter = new TcpMeter(warmup);
  const announce = (port: number): void => console.log(port);
  if (way.includes(".") || way.includes(":")) {
    await receiveByRuntime(way, chunk, meter, announce);
  } else {
    const options = { rcvlowat: chunk, maxSegment: mss === 0 ? undefined : mss };
    using listener = listen({ hostname: "127.0.0.1", port: 0 }, { options });
    announce(listener.addr.port);
    using conn = await listener.accept();
    if (way !== "read") receiveSync(conn, way, chunk, meter);
    else {
      const buffer = new Uint8Array(chunk);
      for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) meter.add(n);
    }
  }
  console.log(JSON.stringify(meter.end()));
}

if (import.meta.main) {
  const [way = "", chunk, warmup, mss] = process.argv.slice(2);
  await receive(way, Number(chunk), Number(warmup), Number(mss));
}
