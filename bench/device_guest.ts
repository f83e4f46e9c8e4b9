/**
 * What runs in the guest of `deno task bench:device`: the other end of `vsockit perf`, and what
 * else the host asks for.
 *
 * @module
 */
import "../tests/vm/in_guest.ts";
import { Worker } from "node:worker_threads";
import { parseOptions } from "../src/cli/perf/options.ts";
import { serveRemotes } from "../src/cli/perf/serve.ts";
import { type Conn, connect, listen } from "../mod.ts";
import { VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_LOCAL } from "../mod.ts";
import { DEVICE_PORTS, type GuestTask, MESSAGE_BYTES, readWhole } from "./device_ports.ts";

const ROUND_MS = 1_000;
const CHUNK = 64 * 1024;

const echo = new Worker(new URL("./device_guest_echo.ts", import.meta.url));
await new Promise((resolve) => echo.once("message", resolve));

/** 64 B round trips a second with an echo at `port` of `cid`. */
async function measureRoundTrips(conn: Conn): Promise<number> {
  const [data, got] = [new Uint8Array(MESSAGE_BYTES), new Uint8Array(MESSAGE_BYTES)];
  const start = performance.now();
  let [count, ms] = [0, 0];
  for (; ms < ROUND_MS; ms = performance.now() - start) {
    await conn.write(data);
    await readWhole(conn, got);
    count++;
  }
  return count / ms * 1000;
}

/** Both in turn, from the same thread. */
async function roundTrips(): Promise<{ device: number; loopback: number }> {
  using device = await connect({ cid: VMADDR_CID_HOST, port: DEVICE_PORTS.echo });
  using loopback = await connect({ cid: VMADDR_CID_LOCAL, port: DEVICE_PORTS.echo });
  for (const conn of [device, loopback]) await measureRoundTrips(conn); // compiled by then
  return { device: await measureRoundTrips(device), loopback: await measureRoundTrips(loopback) };
}

/** Streams to the host over so many connections until it closes them. */
async function stream(connections: number): Promise<Record<string, never>> {
  const chunk = new Uint8Array(CHUNK);
  const one = async (): Promise<void> => {
    using conn = await connect({ cid: VMADDR_CID_HOST, port: DEVICE_PORTS.sink });
    try {
      for (;;) await conn.write(chunk);
    } catch {
      // the host has seen enough
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  return {};
}

async function serve(conn: Conn): Promise<void> {
  using _ = conn;
  const buffer = new Uint8Array(1_024);
  const got = await conn.read(buffer);
  if (got === null) return;
  const task: GuestTask = JSON.parse(new TextDecoder().decode(buffer.subarray(0, got)));
  const result = task.name === "round trips" ? await roundTrips() : await stream(task.connections);
  await conn.write(new TextEncoder().encode(JSON.stringify(result)));
}

async function serveTasks(): Promise<void> {
  using listener = listen({ cid: VMADDR_CID_ANY, port: DEVICE_PORTS.tasks });
  for await (const conn of listener) await serve(conn);
}

const { plan } = parseOptions(["--serve", "--transport", "vsock"]);
const perf = serveRemotes(plan, (error) => console.error(error));
const tasks = serveTasks();
console.log("serving");
await Promise.all([perf, tasks]);
