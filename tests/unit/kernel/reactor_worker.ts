/** Waits in a Worker, with a reactor of its own, for the descriptors that it is sent. */
import process from "node:process";
import { parentPort } from "node:worker_threads";
import { POLLIN } from "../../../ffi/abi/poll.ts";
import { Hold, reactor } from "../../../src/kernel/reactor.ts";

const hold = new Hold();

parentPort?.on("message", (fd: number) => {
  if (fd === -1) process.exit(0);
  reactor().wait(fd, POLLIN, hold).then((revents) => parentPort?.postMessage(revents));
  parentPort?.postMessage("waits");
});
