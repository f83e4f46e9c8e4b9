/**
 * 64 KiB writes to a VM behind a Unix socket: our connection against `node:net`.
 *
 * @module
 */
import { connect as connectNet, type Socket } from "node:net";
import { connect } from "../src/connect.ts";
import { TempFolder } from "../tests/helpers/temp_folder.ts";
import type { Bench, Round } from "./bench.ts";
import { openSink, SINK_PORT } from "./hybrid_sink.ts";

const MIB = 2 ** 20;
const CHUNK = new Uint8Array(64 * 1024).fill(0x5a);
const [WARMUP, MEASURED] = [256 * MIB, 1024 * MIB];

/** Sends bytes to the sink; what it says is how many have arrived. */
interface Sender {
  write(bytes: number): Promise<void>;
  /** Ends the stream, and gives what the sink has counted. */
  end(): Promise<number>;
}

async function openOurs(path: string): Promise<Sender> {
  const conn = await connect({ path, port: SINK_PORT });
  return {
    async write(bytes) {
      for (let sent = 0; sent < bytes; sent += CHUNK.length) await conn.write(CHUNK);
    },
    async end() {
      await conn.closeWrite();
      const count = new Float64Array(1);
      await conn.read(new Uint8Array(count.buffer));
      conn.close();
      return count[0]!;
    },
  };
}

async function openNet(path: string): Promise<Sender> {
  const socket = connectNet({ path });
  socket.write(`CONNECT ${SINK_PORT}\n`);
  await nextData(socket); // OK and a number
  return {
    async write(bytes) {
      for (let sent = 0; sent < bytes; sent += CHUNK.length) {
        if (!socket.write(CHUNK)) await new Promise((resolve) => socket.once("drain", resolve));
      }
    },
    async end() {
      const counted = nextData(socket);
      socket.end();
      return new Float64Array((await counted).slice().buffer)[0]!;
    },
  };
}

function nextData(socket: Socket): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    socket.once("data", (data: Uint8Array) => resolve(data));
    socket.once("error", reject);
  });
}

/** GB/s of one connection, once warm, until the last byte has arrived. */
async function speed(open: () => Promise<Sender>): Promise<number> {
  const sender = await open();
  await sender.write(WARMUP);
  const begin = performance.now();
  await sender.write(MEASURED);
  const arrived = await sender.end();
  const seconds = (performance.now() - begin) / 1_000;
  if (arrived !== WARMUP + MEASURED) throw new Error(`${arrived} bytes arrived`);
  return MEASURED / seconds / 1e9;
}

async function withSink<T>(use: (path: string) => Promise<T>): Promise<T> {
  using folder = new TempFolder();
  const path = folder.path("vm");
  await using _sink = await openSink(path);
  return await use(path);
}

/** The row about the client of a hybrid vsock. */
export const hybrid: Bench = {
  rounds: 5,
  async prove(): Promise<void> {
    await this.round(); // counts every byte
  },
  round: (): Promise<Round> =>
    withSink(async (path) => ({
      ours: await speed(() => openOurs(path)),
      net: await speed(() => openNet(path)),
    })),
  rows: [{
    name: "hybrid",
    what: "hybrid vsock, 64 KiB writes",
    ours: "ours",
    peer: "net",
    peerIs: "AF_UNIX, node:net",
    unit: "GB/s",
    target: { atLeast: 1 },
    note: "to the same VM, a Worker that reads and throws away; CONNECT and OK are not timed",
  }],
};
