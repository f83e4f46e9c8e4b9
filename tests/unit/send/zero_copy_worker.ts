/** Lends its memory to the kernel, and ends. */
import process from "node:process";
import { workerData } from "node:worker_threads";
import { connect } from "../../../src/connect.ts";
import { pattern } from "../../helpers/pair.ts";

/** A web Worker is told by a message. */
const told = (): Promise<number> =>
  new Promise((resolve) => {
    globalThis.addEventListener("message", (event) => resolve((event as MessageEvent).data));
  });

const conn = await connect({ hostname: "127.0.0.1", port: workerData as number ?? await told() });
conn.write(pattern(32 * 1024 * 1024), { zeroCopy: true }).catch(() => {});
process.exit();
