/** Run by reactor_process_test.ts: ends Workers that wait in the way its argument names. */
import { readdirSync } from "node:fs";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { O_CLOEXEC } from "../../../ffi/abi/fcntl.ts";
import { pipe2, read, write } from "../../../ffi/libc.ts";

const [reader, writer] = pipe2(O_CLOEXEC);
const byte = new Uint8Array(1);

/** A Worker, and what it says next. */
class Waiter {
  readonly worker: Worker = new Worker(new URL("./reactor_worker.ts", import.meta.url));
  readonly #said: unknown[] = [];
  #listen: () => void = () => {};
  constructor() {
    this.worker.on("message", (message) => {
      this.#said.push(message);
      this.#listen();
    });
  }
  async next(): Promise<unknown> {
    while (this.#said.length === 0) await new Promise<void>((resolve) => this.#listen = resolve);
    return this.#said.shift();
  }
  /** Has the Worker wait for the pipe. */
  async wait(): Promise<void> {
    this.worker.postMessage(reader);
    await this.next();
  }
  async exit(): Promise<void> {
    const gone = new Promise((resolve) => this.worker.once("exit", resolve));
    this.worker.postMessage(-1);
    await gone;
  }
}

/** How many this process has. */
function count(what: "fd" | "task"): number {
  return readdirSync(`/proc/self/${what}`).length;
}

/** Whether `now()` comes down to `before`: threads and descriptors go a little later. */
async function settles(before: number, now: () => number): Promise<boolean> {
  for (let look = 0; look < 3_000 && now() > before; look++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return now() <= before;
}

/** Time for threads to begin, or to go; where it is too short, less is tested. */
function aSecond(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1_000));
}

/**
 * Ends five Workers that wait, in threads that have begun to: within a Worker, Deno takes 0.6 s.
 */
async function round(end: (waiter: Waiter) => Promise<unknown>): Promise<void> {
  const waiters = Array.from({ length: 5 }, () => new Waiter());
  await Promise.all(waiters.map((waiter) => waiter.wait()));
  await aSecond();
  write(writer, byte);
  const woken = await Promise.all(waiters.map((waiter) => waiter.next()));
  if (woken.some((revents) => revents !== 1)) throw new Error(`woken by ${woken}`);
  read(reader, byte);
  await Promise.all(waiters.map((waiter) => waiter.wait()));
  await Promise.all(waiters.map(end));
}

const CASES: Readonly<Record<string, () => Promise<void>>> = {
  async "terminate()"(): Promise<void> {
    await round((waiter) => waiter.worker.terminate());
    await aSecond();
    const tasks = count("task");
    await round((waiter) => waiter.worker.terminate());
    console.log("no thread is left:", await settles(tasks, () => count("task")));
  },
  async "process.exit() of the Worker"(): Promise<void> {
    await round((waiter) => waiter.exit());
    await aSecond();
    const [tasks, fds] = [count("task"), count("fd")];
    await round((waiter) => waiter.exit());
    console.log("no thread is left:", await settles(tasks, () => count("task")));
    console.log("no descriptor is left:", await settles(fds, () => count("fd")));
  },
  async "process.exit() of the process"(): Promise<void> {
    await new Waiter().wait();
    await new Waiter().wait();
    console.log("two wait");
    process.exit(0);
  },
};

await CASES[process.argv[2] ?? ""]?.();
