/** Waits in poll(2), ppoll(2) and epoll_wait(2) while signals come in; prints how it went. */
import process from "node:process";
import { Worker } from "node:worker_threads";
import { EpollEvents } from "../../../ffi/abi/epoll.ts";
import { PollFds } from "../../../ffi/abi/poll.ts";
import * as libc from "../../../ffi/libc.ts";

const WAIT_MS = 100;

const begun = new Promise((resolve) => process.on("SIGUSR2", resolve));
const worker = new Worker(new URL("./signal_worker.ts", import.meta.url));
const flag = new Int32Array(new SharedArrayBuffer(4));
const stopped = new Promise((resolve) => worker.once("message", resolve));
await new Promise((resolve) => worker.once("online", resolve));
worker.postMessage(flag);
await begun;

const epfd = libc.epoll_create1(0);
const waits: Readonly<Record<string, () => number>> = {
  poll: () => libc.poll(new PollFds(1), WAIT_MS),
  pollOnce: () => libc.pollOnce(new PollFds(1), WAIT_MS),
  ppoll: () => libc.ppoll(new PollFds(1), WAIT_MS),
  epoll_wait: () => libc.epoll_wait(epfd, new EpollEvents(1), WAIT_MS),
};
const found = Object.entries(waits).map(([name, wait]) => {
  const start = performance.now();
  const ready = wait();
  return `${name} ${ready} ${performance.now() - start >= WAIT_MS - 1 ? "in full" : "cut short"}`;
});
Atomics.store(flag, 0, 1);
Atomics.notify(flag, 0);
await stopped;
await worker.terminate();
console.log(found.join(", "));
process.exit(0);
