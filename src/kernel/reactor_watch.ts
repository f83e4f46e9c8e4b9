/**
 * A thread that tells when an epoll has events, so that the event loop need not ask.
 *
 * The epoll with the sockets lies inside of another one, with EPOLLONESHOT, and the thread waits
 * for the outer one. So the thread never takes an event: it rings once and waits on, and rings
 * again only after {@linkcode Watch.arm}. All events are taken by the thread that uses them, when
 * it uses them: none is stale, and none can be lost for want of room.
 *
 * A thread in a system call cannot be ended from outside, and Node waits for it to come back. So it
 * stays there for a slice of time, then lets its own event loop run; while nobody waits it is
 * parked in that event loop, which costs nothing; and when the process ends, an eventfd calls it
 * back.
 *
 * @module
 */
import type { Worker } from "node:worker_threads";
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_MOD,
  EpollEvents,
  EPOLLIN,
  EPOLLONESHOT,
} from "../../ffi/abi/epoll.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../ffi/abi/eventfd.ts";
import { close, epoll_create1, epoll_ctl, eventfd, write } from "../../ffi/libc.ts";
import { library } from "../../ffi/select.ts";
import { runtimeHere } from "../../ffi/versions.ts";
import { timers } from "../runtime/builtins.ts";
import { endsProcess } from "../runtime/thread_end.ts";
import { startWorker } from "../runtime/thread_start.ts";
import { SCRIPT, STATE, type WatchData, WORD } from "./reactor_worker.ts";

/** How long the thread may outlive a Worker that is terminated, in milliseconds. */
const SLICE_MS = 100;

/** How often to look for events while the thread starts, which takes tens of milliseconds. */
const LOOK_EVERY_MS = 1;

/** How long a Worker that ends waits for its thread at most, in milliseconds: it takes 0.1. */
const STOP_MS = 1_000;

/**
 * Descriptors that a runtime opens for the thread: 6 on Deno, 5 on Node, 2 on Bun, and libc for a
 * moment. Where they run out meanwhile, Deno and Bun end the process.
 */
const THREAD_FDS = 8;

/** Throws `EMFILE` or `ENFILE` where there are not enough for a thread. */
function requireThreadFds(): void {
  const fds: number[] = [];
  try {
    while (fds.length < THREAD_FDS) fds.push(eventfd(0, EFD_CLOEXEC));
  } finally {
    for (const fd of fds) close(fd);
  }
}

/** What a {@linkcode Watch} tells. */
export interface Watcher {
  /** There may be events. */
  ring(): void;
  /** The thread has failed: nothing is watched any more, all descriptors are closed. */
  fail(error: unknown): void;
}

/** One thread that watches one epoll. */
export class Watch {
  /** The epoll that is watched: its owner adds sockets and takes events. */
  readonly epfd: number;
  readonly #outer: number;
  readonly #alarm: number;
  readonly #event: EpollEvents = new EpollEvents(1);
  readonly #words: Int32Array<SharedArrayBuffer> = new Int32Array(new SharedArrayBuffer(16));
  readonly #fds: number[] = [];
  readonly #watcher: Watcher;
  readonly #worker: Worker;
  readonly #looks: NodeJS.Timeout;
  readonly #posts: boolean;
  #waits = 0;
  #armed = false;

  /** Makes the epoll and starts the thread. `posts`: see {@linkcode WatchData}. */
  constructor(watcher: Watcher, posts: boolean) {
    this.#watcher = watcher;
    this.#posts = posts;
    const fds = this.#fds;
    try {
      fds.push(this.epfd = epoll_create1(EPOLL_CLOEXEC));
      fds.push(this.#outer = epoll_create1(EPOLL_CLOEXEC));
      fds.push(this.#alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      this.#event.set(0, EPOLLIN | EPOLLONESHOT, 0);
      epoll_ctl(this.#outer, EPOLL_CTL_ADD, this.#alarm, this.#event);
      this.#event.set(0, EPOLLONESHOT, 0);
      epoll_ctl(this.#outer, EPOLL_CTL_ADD, this.epfd, this.#event);
      this.#event.set(0, EPOLLIN | EPOLLONESHOT, 0);
      requireThreadFds();
      this.#worker = this.#start();
      this.#looks = timers().setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    } catch (error) {
      for (const fd of fds) close(fd);
      throw error;
    }
  }

  #start(): Worker {
    const workerData: WatchData = {
      words: this.#words,
      word: WORD,
      libc: library().name,
      epfd: this.#outer,
      fds: [this.epfd, this.#outer],
      state: STATE,
      sliceMs: SLICE_MS,
      posts: this.#posts,
    };
    // What Node has to say about its FFI it has said to whoever opened libc before, maybe by a flag
    // that a thread does not inherit beside others, and that Deno refuses.
    const execArgv = ["--no-warnings"];
    if (runtimeHere()?.name === "node") execArgv.push("--experimental-ffi");
    const worker = startWorker(SCRIPT, { eval: true, execArgv, workerData });
    worker.on("error", (error) => {
      timers().clearInterval(this.#looks);
      for (const fd of this.#fds) close(fd);
      this.#watcher.fail(error);
    });
    if (this.#posts) worker.on("message", () => this.#onBell());
    worker.unref(); // a listener for messages would hold it again
    return worker;
  }

  /** Whether somebody waits. */
  get busy(): boolean {
    return this.#waits > 0;
  }

  /** A wait begins. */
  begin(): void {
    this.#waits += 1;
  }

  /** A wait is over. */
  end(): void {
    this.#waits -= 1;
    if (this.#waits === 0) Atomics.store(this.#words, WORD.wanted, 0);
  }

  /** Has the thread ring once, at once where the epoll has events already. */
  arm(): void {
    this.#listen();
    Atomics.store(this.#words, WORD.wanted, 1);
    if (Atomics.load(this.#words, WORD.parked) !== 0) this.#unpark();
  }

  #listen(): void {
    if (this.#armed) return;
    epoll_ctl(this.#outer, EPOLL_CTL_MOD, this.epfd, this.#event);
    this.#armed = true;
    if (this.#posts) return;
    const heard = Atomics.waitAsync(this.#words, WORD.bell, 0);
    if (heard.async) heard.value.then(() => this.#onBell());
    else queueMicrotask(() => this.#onBell());
  }

  /**
   * Ends the thread, which closes both epolls as it goes. A Worker waits for that: once it has
   * ended, so has the thread, wherever it is.
   */
  stop(): void {
    timers().clearInterval(this.#looks);
    const { made, stops } = STATE;
    if (Atomics.compareExchange(this.#words, WORD.state, made, stops) === made) {
      for (const fd of this.#fds) close(fd);
      return;
    }
    Atomics.store(this.#words, WORD.state, stops);
    this.#unpark(); // in any case: it may be about to park
    write(this.#alarm, BigUint64Array.of(1n));
    if (endsProcess()) return; // the kernel closes the rest
    Atomics.wait(this.#words, WORD.state, stops, STOP_MS);
    close(this.#alarm); // never the thread: it may have seen STATE.stops before the alarm
  }

  #look(): void {
    if (Atomics.load(this.#words, WORD.state) !== STATE.made) timers().clearInterval(this.#looks);
    this.#watcher.ring();
  }

  #onBell(): void {
    Atomics.store(this.#words, WORD.bell, 0);
    this.#armed = false;
    this.#watcher.ring();
  }

  #unpark(): void {
    Atomics.store(this.#words, WORD.parked, 0);
    this.#worker.postMessage(null);
  }
}
