/**
 * What the thread of a reactor runs: it sleeps in epoll_wait(2), and rings.
 *
 * The thread gets {@linkcode watch} as text, so that no file has to lie beside an executable. The
 * function therefore imports nothing, sees nothing of this module, and has no function inside of
 * it. It reads no event and touches no socket: it has the other thread look.
 *
 * No wake-up is lost. Who wants the thread stores `wanted`, then loads `parked`; the thread stores
 * `parked`, then loads `wanted` once more: Atomics are sequentially consistent, so that one of the
 * two sees the other's store. A ring stores `bell` before it notifies, and the other thread waits
 * for a `bell` that is still 0. Who stops the thread stores `state` before it posts.
 *
 * @module
 */

/** What the two threads share: an index into the words for each. */
export const WORD = {
  /** 1 from when the thread rings until it was heard. */
  bell: 0,
  /** 1 from when the thread is to ring until nobody waits: it parks while this is 0. */
  wanted: 1,
  /** 1 while the thread is parked. */
  parked: 2,
  /** One of {@linkcode STATE}. */
  state: 3,
} as const;

/** Where the thread is in its life. */
export const STATE = {
  /** It may never begin. */
  made: 0,
  runs: 1,
  /** It is to close its descriptors, and to end. */
  stops: 2,
  /** It has closed them. */
  ended: 3,
} as const;

/** `workerData` of the thread. */
export interface WatchData {
  /** The words, over shared memory. */
  readonly words: Int32Array;
  /** {@linkcode WORD}. */
  readonly word: typeof WORD;
  /** {@linkcode STATE}. */
  readonly state: typeof STATE;
  /** The name of libc. */
  readonly libc: string;
  /** The epoll to wait for. Each of its events must be EPOLLONESHOT: nobody takes them. */
  readonly epfd: number;
  /** What nobody else uses once it ends: to be closed then. */
  readonly fds: readonly number[];
  /** The longest that the thread is in the kernel at a time, in milliseconds. */
  readonly sliceMs: number;
  /** Whether to ring by a message rather than by `Atomics.notify`. */
  readonly posts: boolean;
}

/** The members of each runtime in use. */
interface Host {
  readonly Deno?: {
    dlopen(name: string, table: Readonly<Record<string, unknown>>): { readonly symbols: Calls };
  };
  readonly process: {
    readonly versions: Readonly<Record<string, string | undefined>>;
    getBuiltinModule(name: "bun:ffi"): {
      dlopen(name: string, table: Readonly<Record<string, unknown>>): { readonly symbols: Calls };
    };
    getBuiltinModule(name: "node:ffi"): {
      dlopen(name: string, table: Readonly<Record<string, unknown>>): { readonly functions: Calls };
    };
    getBuiltinModule(name: "node:worker_threads"): {
      readonly workerData: WatchData;
      readonly parentPort: {
        postMessage(message: null): void;
        once(event: "message", listener: (message: unknown) => void): void;
      };
    };
    getBuiltinModule(
      name: "node:timers",
    ): { setImmediate(callback: (value: unknown) => void): void };
  };
}

interface Calls {
  epoll_wait(epfd: number, events: Uint8Array, maxevents: number, timeout: number): number;
  close(fd: number): number;
}

async function watch(): Promise<void> {
  const { Deno, process } = globalThis as unknown as Host;
  const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads");
  const { setImmediate } = process.getBuiltinModule("node:timers");
  const { words, word, state, libc, epfd, fds, sliceMs, posts } = workerData;
  let calls: Calls;
  if (process.versions["deno"] !== undefined && Deno !== undefined) {
    calls = Deno.dlopen(libc, {
      epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    }).symbols;
  } else if (process.versions["bun"] !== undefined) {
    calls = process.getBuiltinModule("bun:ffi").dlopen(libc, {
      epoll_wait: { args: ["i32", "buffer", "i32", "i32"], returns: "i32" },
      close: { args: ["i32"], returns: "i32" },
    }).symbols;
  } else {
    calls = process.getBuiltinModule("node:ffi").dlopen(libc, {
      epoll_wait: { arguments: ["int32", "buffer", "int32", "int32"], return: "int32" },
      close: { arguments: ["int32"], return: "int32" },
    }).functions;
  }
  const event = new Uint8Array(16);
  if (Atomics.compareExchange(words, word.state, state.made, state.runs) !== state.made) return;
  while (Atomics.load(words, word.state) === state.runs) {
    const ready = calls.epoll_wait(epfd, event, 1, sliceMs);
    if (ready > 0) {
      Atomics.store(words, word.bell, 1);
      if (posts) parentPort.postMessage(null);
      else Atomics.notify(words, word.bell);
      continue;
    }
    if (Atomics.load(words, word.wanted) === 0) {
      const called = new Promise((resolve) => parentPort.once("message", resolve));
      Atomics.store(words, word.parked, 1);
      // Whoever wants the thread says so first, then looks whether it is parked.
      if (Atomics.load(words, word.wanted) === 0) await called;
      Atomics.store(words, word.parked, 0);
    }
    // A signal, or somebody closed what is not theirs: that must not keep a processor busy.
    if (ready < 0) Atomics.wait(words, word.state, state.runs, 1);
    // The event loop, or else nobody can end this thread: Deno does not where its owner is ended.
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (const fd of fds) calls.close(fd);
  Atomics.store(words, word.state, state.ended);
  Atomics.notify(words, word.state);
}

/** A script for a Worker. */
export const SCRIPT: string = `(${watch})();`;
