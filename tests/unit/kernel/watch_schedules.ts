/**
 * A `Watch` and the text of its thread, each of whose accesses to shared memory is a step, over the
 * kernel's own epolls: all orders of the steps, one after the other.
 */
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_MOD,
  EpollEvents,
  EPOLLIN,
  EPOLLONESHOT,
} from "../../../ffi/abi/epoll.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../../ffi/abi/eventfd.ts";
import { close, epoll_ctl, epoll_wait, eventfd, read, write } from "../../../ffi/libc.ts";
import { threads } from "../../../src/runtime/builtins.ts";
import { Watch } from "../../../src/kernel/reactor_watch.ts";
import { SCRIPT, STATE, type WatchData, WORD } from "../../../src/kernel/reactor_worker.ts";

/** What the thread does is lost where it looks so often and nothing comes. */
const LOOKS_MAX = 3;

/** What a wait comes to. */
export type Wait = "event" | "early event" | "abort" | "abort beside event" | "rest";

/** What `watch()` of the thread's text has in place of what the runtime gives it. */
interface Given {
  readonly globalThis: unknown;
  readonly Atomics: unknown;
  readonly Promise: unknown;
}

/** The thread as a generator: it stops before each access, and at each `await`. */
function threadOf(text: string, given: Given): Generator<FakePromise | undefined, void, void> {
  const stepped = text
    .replace(/async function \w+/, "function*")
    .replaceAll(/\bawait\b/g, "yield")
    .replaceAll(/\b(Atomics\.\w+|calls\.epoll_wait)\(/g, "(yield, $1)(");
  return new Function(...Object.keys(given), `return ${stepped}`)(...Object.values(given));
}

/** Resolves what its `resolve` is called for, at once. */
class FakePromise {
  settled = false;

  constructor(begin: (resolve: () => void) => void) {
    begin(() => this.settled = true);
  }
}

/** One run, in one order of steps. */
export class WatchSchedule {
  readonly #choose: () => boolean;
  readonly #posts: boolean;
  readonly #tasks: (() => void)[] = [];
  readonly #messages: null[] = [];
  readonly #event: EpollEvents = new EpollEvents(4);
  #listeners: (() => void)[] = [];
  #onMessage: () => void = () => {};
  #heard: (() => void) | undefined;
  #thread: Generator<FakePromise | undefined, void, void> | undefined;
  #blocked: FakePromise | undefined;
  #words: Int32Array = new Int32Array(4);
  #closed = 0;
  #looks = 0;
  #switches: number;
  #inThread = false;
  #rings = 0;
  #woken = false;

  constructor(switches: number, posts: boolean, choose: () => boolean) {
    this.#switches = switches;
    this.#posts = posts;
    this.#choose = choose;
  }

  /** Waits as often as there are `waits`, then stops; `text` is the thread's. */
  run(waits: readonly Wait[], text: string = SCRIPT): void {
    const restore = this.#patch(text);
    const socket = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    try {
      const watch = new Watch({ ring: () => this.#rings++, fail: fails }, this.#posts);
      let op = EPOLL_CTL_ADD;
      for (const wait of waits) {
        this.#wait(watch, socket, wait, op);
        op = EPOLL_CTL_MOD;
      }
      watch.stop();
      if (this.#words[WORD.state] === STATE.ended && this.#closed !== 2) throw lost("descriptors");
      while (this.#canRun()) this.#stepThread("the thread goes on");
    } finally {
      close(socket);
      restore();
    }
  }

  #wait(watch: Watch, socket: number, wait: Wait, op: number): void {
    if (wait === "rest") return this.#untilParked();
    watch.begin();
    this.#event.set(0, EPOLLIN | EPOLLONESHOT, socket, 0);
    epoll_ctl(watch.epfd, op, socket, this.#event);
    if (wait === "early event") write(socket, ONE);
    watch.arm();
    if (wait === "abort beside event") {
      watch.begin();
      watch.end();
    }
    if (wait === "event" || wait === "abort beside event") write(socket, ONE);
    this.#looks = 0;
    while (wait !== "abort") {
      this.#untilRung();
      if (epoll_wait(watch.epfd, this.#event, 0) > 0) break;
      watch.arm(); // as the reactor does where a ring was for an event that is gone
    }
    if (wait !== "abort") read(socket, new Uint8Array(8));
    watch.end();
  }

  /** The event loop of the thread that waits. */
  #untilRung(): void {
    for (const rings = this.#rings; this.#rings === rings;) {
      const task = this.#tasks.shift();
      if (task !== undefined) task();
      else this.#stepThread("a ring was lost");
    }
  }

  /** Nobody waits for long. */
  #untilParked(): void {
    this.#looks = 0;
    while (this.#canRun()) this.#stepThread("rest: the thread never parks");
  }

  #stepThread(what: string): void {
    if (!this.#canRun() || this.#looks > LOOKS_MAX) throw lost(what);
    this.#inThread = true;
    try {
      const { value, done } = this.#thread!.next();
      if (done === true) this.#thread = undefined;
      if (value instanceof FakePromise) this.#blocked = value;
    } finally {
      this.#inThread = false;
    }
  }

  /** In its event loop the thread gets what was posted, whether it listens or not. */
  #canRun(): boolean {
    if (this.#blocked !== undefined) {
      if (this.#messages.shift() === null) {
        for (const listener of this.#listeners.splice(0)) listener();
      }
      if (!this.#blocked.settled) return false;
      this.#blocked = undefined;
    }
    return this.#thread !== undefined;
  }

  #runThread(): void {
    do this.#stepThread(""); while (
      this.#looks <= LOOKS_MAX && this.#canRun() && !this.#mayInterrupt()
    );
  }

  #mayInterrupt(): boolean {
    if (this.#switches === 0 || this.#looks > LOOKS_MAX || !this.#canRun()) return false;
    if (!this.#choose()) return false;
    this.#switches--;
    return true;
  }

  #start(text: string, data: WatchData): void {
    this.#words = data.words;
    const modules: Readonly<Record<string, unknown>> = {
      "node:worker_threads": {
        workerData: data,
        parentPort: {
          postMessage: () => this.#tasks.push(this.#onMessage),
          once: (_event: string, listener: () => void) => this.#listeners.push(listener),
        },
      },
      "node:timers": { setImmediate: (resolve: () => void) => resolve() },
      "bun:ffi": { dlopen: () => ({ symbols: this.#calls() }) },
    };
    const getBuiltinModule = (name: string): unknown => modules[name];
    const globalThis = { process: { versions: { bun: "" }, getBuiltinModule } };
    this.#thread = threadOf(text, { globalThis, Atomics, Promise: FakePromise });
  }

  #calls(): Record<"epoll_wait" | "close", (fd: number) => number> {
    const event = new EpollEvents(1);
    return {
      epoll_wait: (epfd) => {
        const ready = epoll_wait(epfd, event, 0);
        this.#looks += ready === 0 ? 1 : 0;
        return ready;
      },
      close: (fd) => {
        close(fd);
        return this.#closed++;
      },
    };
  }

  /** In the thread nothing is a step but what its text says. */
  #patch(text: string): () => void {
    const { load, store, compareExchange, notify, wait, waitAsync } = Atomics;
    const original = { load, store, compareExchange, notify, wait, waitAsync };
    const { queueMicrotask } = globalThis;
    const { Worker, isMainThread } = threads();
    const stepped =
      <Args extends unknown[], Result>(call: (...args: Args) => Result) =>
      (...args: Args): Result => {
        if (!this.#inThread && this.#mayInterrupt()) this.#runThread();
        return call(...args);
      };
    Object.assign(Atomics, {
      load: stepped(load),
      store: stepped(store),
      compareExchange: stepped(compareExchange),
      notify: (_words: Int32Array, at: number) => {
        if (at === WORD.bell) this.#notified();
        else this.#woken = true;
      },
      wait: (words: Int32Array, at: number, value: number) => {
        if (this.#inThread) return;
        this.#woken = load(words, at) !== value;
        this.#looks = LOOKS_MAX;
        while (!this.#woken) {
          this.#stepThread("the thread never ends, or says so, or not before its slice does");
        }
      },
      waitAsync: stepped((words: Int32Array, at: number, value: number) => {
        if (load(words, at) !== value) return { async: false, value: "not-equal" };
        if (this.#heard !== undefined) throw lost("it listens twice");
        return { async: true, value: { then: (f: () => void) => this.#heard = f } };
      }),
    });
    globalThis.queueMicrotask = (task) => void this.#tasks.push(task);
    Object.assign(threads(), { Worker: this.#fakeWorker(text), isMainThread: false });
    return () => {
      Object.assign(Atomics, original);
      Object.assign(globalThis, { queueMicrotask });
      Object.assign(threads(), { Worker, isMainThread });
    };
  }

  #fakeWorker(text: string): unknown {
    // deno-lint-ignore no-this-alias
    const run = this;
    return class {
      constructor(_script: string, { workerData }: { readonly workerData: WatchData }) {
        run.#start(text, workerData);
      }
      on(event: string, listener: () => void): void {
        if (event === "message") run.#onMessage = listener;
      }
      unref(): void {}
      postMessage(): void {
        run.#messages.push(null);
      }
    };
  }

  #notified(): void {
    if (this.#heard !== undefined) this.#tasks.push(this.#heard);
    this.#heard = undefined;
  }
}

const ONE: Uint8Array<ArrayBuffer> = new Uint8Array(BigUint64Array.of(1n).buffer);

function fails(error: unknown): never {
  throw error;
}

function lost(what: string): Error {
  return new Error(`lost: ${what}`);
}
