/** The thread of a reactor by itself: what it runs, and the words that it shares with its owner. */
import process from "node:process";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assertEquals } from "@std/assert";
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_MOD,
  EpollEvents,
} from "../../../ffi/abi/epoll.ts";
import { EPOLLIN, EPOLLONESHOT } from "../../../ffi/abi/epoll.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../../ffi/abi/eventfd.ts";
import { POLLHUP, POLLIN } from "../../../ffi/abi/poll.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from "../../../ffi/abi/socket.ts";
import {
  close,
  epoll_create1,
  epoll_ctl,
  eventfd,
  read,
  socketpair,
  write,
} from "../../../ffi/libc.ts";
import { library } from "../../../ffi/select.ts";
import { pollNow } from "../../../src/kernel/poll.ts";
import { EpollReactor, Hold } from "../../../src/kernel/reactor.ts";
import { SCRIPT, STATE, type WatchData, WORD } from "../../../src/kernel/reactor_worker.ts";
import { turn } from "../../../src/wait/turns.ts";

const LIMIT = { timeout: 60_000 };

/** Such a thread, and what its owner has of it. */
class Thread implements Disposable {
  readonly words = new Int32Array(new SharedArrayBuffer(16));
  readonly messages: unknown[] = [];
  readonly epfd = epoll_create1(EPOLL_CLOEXEC);
  /** The first goes with the thread. */
  readonly pair = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC);
  /** What can be read once for each `ready()`. */
  readonly #event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  readonly #worker: Worker;
  readonly ended: Promise<unknown>;

  constructor(posts: boolean, state: number = STATE.made) {
    const { words, epfd, messages } = this;
    Atomics.store(words, WORD.wanted, 1);
    Atomics.store(words, WORD.state, state);
    epoll_ctl(epfd, EPOLL_CTL_ADD, this.#event, new EpollEvents(1));
    const workerData: WatchData = {
      words,
      word: WORD,
      state: STATE,
      libc: library().name,
      epfd,
      fds: [epfd, this.pair[0]],
      sliceMs: 5,
      posts,
    };
    this.#worker = new Worker(SCRIPT, { eval: true, execArgv: ["--no-warnings"], workerData });
    this.#worker.on("message", (message) => messages.push(message));
    this.ended = new Promise((resolve) => this.#worker.on("exit", resolve));
  }

  /** Has the epoll tell of an event once. */
  ready(): void {
    const events = new EpollEvents(1);
    events.set(0, EPOLLIN | EPOLLONESHOT, this.#event);
    epoll_ctl(this.epfd, EPOLL_CTL_MOD, this.#event, events);
  }

  /** Resolves once a word is `value`. */
  async until(word: keyof typeof WORD, value: number): Promise<void> {
    while (Atomics.load(this.words, WORD[word]) !== value) await turn();
  }

  /** Hears the bell. */
  async heard(): Promise<void> {
    await this.until("bell", 1);
    Atomics.store(this.words, WORD.bell, 0);
  }

  call(): void {
    this.#worker.postMessage(null);
  }

  /** Whether what goes with the thread is closed. */
  get closed(): boolean {
    return (pollNow(this.pair[1], 0) & POLLHUP) !== 0;
  }

  [Symbol.dispose](): void {
    close(this.#event);
    close(this.pair[1]);
  }
}

test("watch() rings for each event, by the bell or by a message", LIMIT, async () => {
  for (const posts of [false, true]) {
    using thread = new Thread(posts);
    await thread.until("state", STATE.runs);
    for (let rings = 1; rings <= 3; rings++) {
      const rung = Atomics.waitAsync(thread.words, WORD.bell, 0).value;
      thread.ready();
      if (posts) { while (thread.messages.length < rings) await turn(); }
      else assertEquals(await rung, "ok");
      await thread.heard();
    }
    assertEquals(thread.messages, posts ? [null, null, null] : []);
    Atomics.store(thread.words, WORD.state, STATE.stops);
    await thread.ended;
  }
});

test("watch() parks while nobody waits, and rings again once called", LIMIT, async () => {
  using thread = new Thread(false);
  for (let round = 0; round < 3; round++) {
    Atomics.store(thread.words, WORD.wanted, 0);
    await thread.until("parked", 1);
    thread.ready();
    assertEquals(await Atomics.waitAsync(thread.words, WORD.bell, 0, 20).value, "timed-out");
    Atomics.store(thread.words, WORD.wanted, 1);
    thread.call();
    await thread.until("parked", 0);
    await thread.heard();
  }
  Atomics.store(thread.words, WORD.state, STATE.stops);
  await thread.ended;
});

test("watch() closes what goes with it when it is to stop, and tells", LIMIT, async () => {
  using thread = new Thread(false);
  await thread.until("state", STATE.runs);
  assertEquals(thread.closed, false);
  const told = Atomics.waitAsync(thread.words, WORD.state, STATE.runs).value;
  Atomics.store(thread.words, WORD.state, STATE.stops);
  assertEquals(await told, "ok");
  assertEquals(Atomics.load(thread.words, WORD.state), STATE.ended);
  assertEquals(thread.closed, true);
  await thread.ended;
});

test("watch() that is to stop before it began touches nothing", LIMIT, async () => {
  using thread = new Thread(false, STATE.stops);
  await thread.ended;
  assertEquals([Atomics.load(thread.words, WORD.state), thread.closed], [STATE.stops, false]);
  for (const fd of [thread.epfd, thread.pair[0]]) close(fd);
});

/** Counts the messages to Workers that are made while it is there. */
class Calls implements Disposable {
  count = 0;
  readonly #threads = process.getBuiltinModule("node:worker_threads") as { Worker: typeof Worker };

  constructor() {
    const called = (): void => void (this.count += 1);
    this.#threads.Worker = class extends Worker {
      override postMessage(message: unknown): void {
        called();
        super.postMessage(message);
      }
    };
  }

  [Symbol.dispose](): void {
    this.#threads.Worker = Worker;
  }
}

test("wait() calls its thread back, which was parked while nobody waited", LIMIT, async () => {
  using calls = new Calls();
  const [it, hold] = [new EpollReactor(), new Hold()];
  const fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  while (calls.count < 2) {
    const woken = it.wait(fd, POLLIN, hold);
    for (let turns = 0; turns < 4; turns++) await turn(); // then it is the thread's to tell
    write(fd, BigUint64Array.of(1n));
    assertEquals(await woken, POLLIN);
    read(fd, new Uint8Array(8));
    await new Promise((resolve) => setTimeout(resolve, 150)); // more than a slice of the thread
  }
  it.forget(fd);
  close(fd);
});
