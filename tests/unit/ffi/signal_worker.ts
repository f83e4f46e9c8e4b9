/** Sends this process a signal every millisecond, once told to, until its flag says stop. */
import process from "node:process";
import { parentPort } from "node:worker_threads";

parentPort?.once("message", (flag: Int32Array) => {
  while (Atomics.wait(flag, 0, 0, 1) === "timed-out") process.kill(process.pid, "SIGUSR2");
  parentPort?.postMessage("stopped");
});
