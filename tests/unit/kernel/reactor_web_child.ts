/** Run by reactor_process_test.ts: ends web Workers that wait. */
import { readdirSync } from "node:fs";
import process from "node:process";
import { O_CLOEXEC } from "../../../ffi/abi/fcntl.ts";
import { pipe2 } from "../../../ffi/libc.ts";

const [reader] = pipe2(O_CLOEXEC);
const url = new URL("./reactor_web_worker.ts", import.meta.url);

function count(): number {
  return readdirSync("/proc/self/fd").length;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A Worker that waits. */
function start(): Promise<Worker> {
  const worker = new Worker(url, { type: "module" });
  worker.postMessage(reader);
  return new Promise((resolve) => worker.addEventListener("message", () => resolve(worker)));
}

/** Ends five of them, in threads that have begun to wait. */
async function round(): Promise<void> {
  const workers = await Promise.all(Array.from({ length: 5 }, start));
  await sleep(1_000);
  for (const worker of workers) worker.postMessage(-1);
}

await round();
await sleep(2_000); // where it is too short, less is tested
const before = count();
await round();
for (let look = 0; look < 3_000 && count() > before; look++) await sleep(10);
console.log("no descriptor is left:", count() <= before);
process.exit();
