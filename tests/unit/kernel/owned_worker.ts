/** Leaves a connection, a listener and a ring open, and ends as it is told to. */
import process from "node:process";
import { workerData } from "node:worker_threads";
import { connect, listen } from "../../../mod.ts";
import { uring } from "../../../src/kernel/uring.ts";

const { port, path, end } = workerData as { port: number; path: string; end: string };
const conn = await connect({ hostname: "127.0.0.1", port });
const listeners = process.listenerCount("exit");
listen({ path });
const added = process.listenerCount("exit") - listeners;
await conn.write(new Uint8Array(Int32Array.of(uring()?.fd ?? -1, added).buffer));
if (end === "an uncaught error") throw new Error(end);
process.exit();
