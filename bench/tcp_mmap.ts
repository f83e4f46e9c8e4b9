/**
 * The kernel's own `tcp_mmap` as a receiver: built from Debian's source, and never a part of this.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import { cacheFolder } from "../tests/vm/cache.ts";
import { tcpMmap } from "../tests/vm/kernel_tools.ts";
import { start } from "./running.ts";
import type { TcpReceived } from "./tcp_receiver.ts";

const MIB = 1024 * 1024;
const LISTENS = "0A"; // TCP_LISTEN, as /proc/net/tcp has it

/** A receiver that waits for its one connection. */
export interface StartedReceiver {
  readonly port: string;
  /** What it says once the sender has ended; that ends it too. */
  result(bytes: number): Promise<TcpReceived>;
}

/** Starts one that maps, by 512 KiB at a time, in segments of `segment` bytes. */
export async function startTcpMmap(segment: string): Promise<StartedReceiver> {
  const port = await freePort();
  const place = ["-4", "-H", "127.0.0.1", "-p", String(port), "-M", segment];
  // It never ends, so that its lines would stay in a buffer.
  const running = start(["stdbuf", "-oL", tcpMmap(cacheFolder()), "-s", "-z", ...place]);
  running.ended.catch(() => {}); // it is ended by a signal
  while (!listens(port)) await setTimeout(10);
  return {
    port: String(port),
    async result(bytes: number): Promise<TcpReceived> {
      try {
        return parse(bytes, await running.line(/^received/), await running.line(/cpu usage/));
      } finally {
        running.child.kill();
      }
    },
  };
}

/** `bytes`: what was sent, since it tells the mebibytes with six digits. */
function parse(bytes: number, received: string, usage: string): TcpReceived {
  const [mib = NaN, share = NaN, seconds = NaN] = numbersOf(received);
  const [user = NaN, system = NaN] = numbersOf(usage);
  if (Math.abs(mib - bytes / MIB) > mib * 1e-5) throw new Error(`${received} of ${bytes} bytes`);
  return { bytes, measured: bytes, mapped: bytes * share / 100, seconds, cpu: user + system };
}

function numbersOf(line: string): number[] {
  return Array.from(line.matchAll(/[\d.]+(?:e[-+]?\d+)?/g), ([number]) => Number(number));
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** To connect would be its one connection. */
function listens(port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync("/proc/net/tcp", "utf8").split("\n").some((line) => {
    const [, address = "", , state] = line.trim().split(/\s+/);
    return address.endsWith(local) && state === LISTENS;
  });
}
