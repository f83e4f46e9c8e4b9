import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { EPOLL_CLOEXEC, EPOLL_CTL_ADD, EpollEvents, EPOLLONESHOT } from "../../../ffi/abi/epoll.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../../ffi/abi/eventfd.ts";
import { O_CLOEXEC, O_NONBLOCK } from "../../../ffi/abi/fcntl.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI } from "../../../ffi/abi/poll.ts";
import {
  AF_UNIX,
  SHUT_WR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "../../../ffi/abi/socket.ts";
import { SysError } from "../../../ffi/errno.ts";
import * as libc from "../../../ffi/libc.ts";
import { library } from "../../../ffi/select.ts";
import { EpollReactor, Hold, isHeld, reactor } from "../../../src/kernel/reactor.ts";
import { Watch } from "../../../src/kernel/reactor_watch.ts";
import { turn } from "../../../src/wait/turns.ts";
import { CLOSED } from "../../helpers/sys_error.ts";

const F_DUPFD = 0;
const hold = new Hold();
const ONE: Uint8Array<ArrayBuffer> = new Uint8Array(new BigUint64Array([1n]).buffer);

function counter(): number {
  return libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

function pair(): [number, number] {
  return libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/** Whether `promise` is still pending after everything that is due has run. */
async function isPending(promise: Promise<unknown>, by: EpollReactor): Promise<boolean> {
  // A wait that begins after all that happened is over after what happened was told.
  const fd = counter();
  const later = by.wait(fd, POLLIN, hold);
  libc.write(fd, ONE);
  await later;
  by.forget(fd);
  libc.close(fd);
  const mark = {};
  return await Promise.race([promise, Promise.resolve(mark)]) === mark;
}

/** The epolls of this process that have `fd`, and what of it each is to tell next. */
function epollsOf(fd: number): { readonly epfd: number; readonly events: number }[] {
  return readdirSync("/proc/self/fd").flatMap((at) => {
    try {
      if (!/eventpoll/.test(readlinkSync(`/proc/self/fd/${at}`))) return [];
      const info = readFileSync(`/proc/self/fdinfo/${at}`, "utf8");
      const events = new RegExp(`tfd: +${fd} +events: +([0-9a-f]+)`).exec(info)?.[1];
      return events === undefined ? [] : [{ epfd: Number(at), events: parseInt(events, 16) }];
    } catch {
      return []; // the directory itself, closed by now
    }
  });
}

/** What of `fd` some epoll is to tell next: EPOLLONESHOT leaves nothing. */
function armed(fd: number): number {
  return epollsOf(fd).reduce((all, { events }) => all | events, 0) & ~EPOLLONESHOT;
}

const WAKES: Readonly<Record<string, EpollReactor>> = {
  "Atomics.waitAsync": reactor(),
  messages: new EpollReactor(true),
};
for (const [name, it] of Object.entries(WAKES)) {
  const wait = (fd: number, events: number, signal?: AbortSignal): Promise<number> =>
    it.wait(fd, events, hold, signal);
  const done = (...fds: readonly number[]): void => {
    for (const fd of fds) {
      it.forget(fd);
      libc.close(fd);
    }
  };
  const promise = (text: string, check: () => Promise<void>): void => {
    test(`wait() woken by ${name}: ${text}`, { timeout: 60_000 }, check);
  };

  promise("leaves nothing of a wait whose own signal throws", async () => {
    const [fd, { signal }] = [counter(), new AbortController()];
    signal.addEventListener = (): void => {
      throw new Error("no listener");
    };
    await assertRejects(() => wait(fd, POLLIN, signal), Error, "no listener");
    assertEquals(isHeld(), false);
    done(fd);
  });

  promise("resolves at once with what holds", async () => {
    const [near, far] = pair();
    assertEquals(await wait(near, POLLIN | POLLOUT), POLLOUT);
    libc.write(far, ONE);
    assertEquals(await wait(near, POLLIN | POLLOUT), POLLIN | POLLOUT);
    done(near, far);
  });

  promise("resolves once an event comes", async () => {
    const [near, far] = pair();
    for (let round = 0; round < 100; round++) {
      const woken = wait(near, POLLIN);
      libc.write(far, ONE);
      assertEquals(await woken, POLLIN);
      libc.read(near, new Uint8Array(8));
    }
    done(near, far);
  });

  promise("tells POLLHUP and POLLERR without being asked", async () => {
    const [near, far] = pair();
    const [reader, writer] = libc.pipe2(O_CLOEXEC | O_NONBLOCK);
    const waits = [wait(near, 0), wait(writer, 0)];
    done(far, reader);
    assertEquals(await Promise.all(waits), [POLLHUP, POLLERR]);
    done(near, writer);
  });

  promise("has a reader and a writer wait for one descriptor, each for their own", async () => {
    const [near, far] = pair();
    const chunk = new Uint8Array(65_536);
    while (libc.write(near, chunk) > 0);
    const [reads, writes] = [wait(near, POLLIN), wait(near, POLLOUT)];
    while (libc.read(far, chunk) > 0);
    assertEquals(await writes, POLLOUT);
    assertEquals(await isPending(reads, it), true);
    libc.write(far, ONE);
    assertEquals(await reads, POLLIN);
    done(near, far);
  });

  promise("has the epoll tell of nothing but what is waited for", async () => {
    const [near, far] = pair();
    const chunk = new Uint8Array(65_536);
    while (libc.write(near, chunk) > 0);
    const [reads, writes] = [wait(near, POLLIN), wait(near, POLLOUT)];
    assertEquals(armed(near), POLLIN | POLLOUT | POLLERR | POLLHUP);
    while (libc.read(far, chunk) > 0);
    await writes;
    assertEquals(armed(near), POLLIN | POLLERR | POLLHUP);
    libc.write(far, ONE);
    await reads;
    assertEquals(armed(near), 0);
    done(near, far);
  });

  promise("is not over before there is the answer that is asked for", async () => {
    const fd = counter();
    for (const dry of [true, false]) {
      const answer = it.wait(fd, POLLIN, hold, undefined, dry, true);
      assertEquals(await isPending(answer, it), true);
      libc.write(fd, ONE);
      assertEquals(await answer, POLLIN);
      assertEquals(await it.wait(fd, POLLIN, hold, undefined, dry, true), POLLIN);
      libc.read(fd, new Uint8Array(8));
    }
    done(fd);
  });

  promise("is ended by its signal alone, and by nobody else's", async () => {
    const fd = counter();
    const [mine, others] = [new AbortController(), new AbortController()];
    const ended = wait(fd, POLLIN, mine.signal);
    const kept = [wait(fd, POLLIN), wait(fd, POLLIN, others.signal)];
    const reason = new Error("enough");
    mine.abort(reason);
    assertStrictEquals(await assertRejects(() => ended), reason);
    libc.write(fd, ONE);
    assertEquals(await Promise.all(kept), [POLLIN, POLLIN]);
    others.abort();
    done(fd);
  });

  promise("prefers events that hold to its signal", async () => {
    const fd = counter();
    await assertRejects(() => wait(fd, POLLIN, AbortSignal.abort()), DOMException);
    const late = new AbortController();
    const woken = wait(fd, POLLIN, late.signal);
    libc.write(fd, ONE);
    late.abort();
    assertEquals(await woken, POLLIN);
    assertEquals(await wait(fd, POLLIN, AbortSignal.abort()), POLLIN);
    done(fd);
  });

  promise("leaves no listener on its signal, however it ends", async () => {
    const fd = counter();
    const { signal } = new AbortController();
    let listeners = 0;
    const [add, remove] = [signal.addEventListener, signal.removeEventListener];
    signal.addEventListener = (...args: unknown[]): void => {
      listeners += 1;
      Reflect.apply(add, signal, args);
    };
    signal.removeEventListener = (...args: unknown[]): void => {
      listeners -= 1;
      Reflect.apply(remove, signal, args);
    };
    const waits = [wait(fd, POLLIN, signal), wait(fd, POLLPRI, signal)];
    libc.write(fd, ONE);
    await waits[0];
    it.forget(fd);
    await waits[1];
    assertEquals(listeners, 0);
    done(fd);
  });

  promise("ends with POLLNVAL by forget(), and for what is not open", async () => {
    const fd = counter();
    const waits = [wait(fd, POLLIN), wait(fd, POLLPRI, new AbortController().signal)];
    it.forget(fd);
    assertEquals(await Promise.all(waits), [POLLNVAL, POLLNVAL]);
    const again = wait(fd, POLLIN);
    libc.write(fd, ONE);
    assertEquals(await again, POLLIN);
    done(fd);
    assertEquals(await wait(CLOSED, POLLIN), POLLNVAL);
    it.forget(CLOSED);
  });

  promise("is not woken by who had the same number before", async () => {
    const [old, other] = [counter(), counter()];
    const keeper = libc.fcntl(old, F_DUPFD); // what lets close(2) leave it in the epoll
    const forgotten = wait(old, POLLIN);
    libc.close(old);
    assertEquals(libc.fcntl(other, F_DUPFD, old), old);
    const fresh = wait(old, POLLIN);
    assertEquals(await forgotten, POLLNVAL);
    libc.write(keeper, ONE);
    assertEquals(await isPending(fresh, it), true);
    libc.write(other, ONE);
    assertEquals(await fresh, POLLIN);
    done(keeper, old, other);
  });

  promise("is told of a file on a disk what poll(2) says", async () => {
    const fd = openSync(new URL(import.meta.url), "r");
    assertEquals(await wait(fd, POLLIN), POLLIN);
    const late = new AbortController();
    const never = [wait(fd, POLLPRI, late.signal), wait(fd, POLLPRI, late.signal)];
    late.abort();
    for (const one of never) await assertRejects(() => one, DOMException);
    it.forget(fd);
    closeSync(fd);
  });

  promise("rejects with what epoll refuses, and others go on", async () => {
    const nested = [libc.epoll_create1(EPOLL_CLOEXEC)];
    for (let depth = 0; depth < 3; depth++) {
      const outer = libc.epoll_create1(EPOLL_CLOEXEC);
      libc.epoll_ctl(outer, EPOLL_CTL_ADD, nested.at(-1)!, new EpollEvents(1));
      nested.push(outer);
    }
    const [near, far] = pair();
    const kept = wait(near, POLLIN);
    const error = await assertRejects(() => wait(nested.at(-1)!, POLLIN), SysError);
    assertEquals(error.op, "epoll_ctl"); // ELOOP: too deep
    libc.write(far, ONE);
    assertEquals(await kept, POLLIN);
    done(near, far, ...nested);
  });

  promise("can be called as soon as another wait is over", async () => {
    const [near, far] = pair();
    const chain = wait(near, POLLIN).then(() => {
      libc.read(near, new Uint8Array(8));
      return wait(near, POLLIN);
    });
    libc.write(far, ONE);
    assertEquals(await isPending(chain, it), true);
    libc.write(far, ONE);
    assertEquals(await chain, POLLIN);
    done(near, far);
  });

  promise("loses none of thousands of waits, ready at once or one by one", async () => {
    const fds = Array.from({ length: 600 }, counter);
    const begin = (): Promise<number>[] =>
      fds.flatMap((fd) => [0, 1, 2, 3].map(() => wait(fd, POLLIN)));
    const all = begin();
    for (const fd of fds) libc.write(fd, ONE);
    assertEquals(new Set(await Promise.all(all)), new Set([POLLIN]));
    for (const fd of fds) libc.read(fd, new Uint8Array(8));
    const again = begin();
    for (const [index, fd] of fds.entries()) {
      libc.write(fd, ONE);
      assertEquals(await again[4 * index], POLLIN);
    }
    assertEquals(new Set(await Promise.all(again)), new Set([POLLIN]));
    done(...fds);
  });

  promise("tells the end of a stream to whom it has told of data", async () => {
    const [near, far] = pair();
    libc.write(far, ONE);
    assertEquals(await wait(near, POLLIN), POLLIN);
    libc.read(near, new Uint8Array(8));
    const end = wait(near, POLLIN);
    libc.shutdown(far, SHUT_WR);
    assertEquals(await end, POLLIN);
    done(near, far);
  });
}

test("wait() needs no other thread for what comes within this turn of the event loop", async () => {
  const it = new EpollReactor(); // whose thread takes tens of milliseconds to start
  const [near, far] = pair();
  for (let round = 0; round < 10; round++) {
    let over = false;
    const woken = it.wait(near, POLLIN, hold).then(() => over = true);
    await Promise.resolve();
    libc.write(far, ONE);
    await turn();
    assertEquals(over, true);
    await woken;
    libc.read(near, new Uint8Array(8));
  }
  for (const fd of [near, far]) {
    it.forget(fd);
    libc.close(fd);
  }
});

test("reactor() is one a thread, and its descriptors are closed on exec", () => {
  assertStrictEquals(reactor(), reactor());
  const flags = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      if (!/eventpoll|eventfd/.test(readlinkSync(`/proc/self/fd/${fd}`))) return [];
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
      return [parseInt(/flags:\s+([0-7]+)/.exec(info)?.[1] ?? "", 8) & O_CLOEXEC];
    } catch {
      return []; // closed by now, as the directory itself, or by a thread of a test before
    }
  });
  assertEquals(new Set(flags), new Set([O_CLOEXEC]));
});

test("Watch looks for events itself while its thread starts", { timeout: 60_000 }, async () => {
  await new Promise<void>((ring, fail) => {
    const watch = new Watch({ ring: () => ring(watch.stop()), fail }, false);
  });
});

test("wait() rejects where the thread cannot run, and works once it can", {
  timeout: 60_000,
}, async () => {
  const it = new EpollReactor();
  const fd = counter();
  const opened = library() as { name: string };
  const { name } = opened;
  opened.name = "libmissing.so.0";
  const waits = [it.wait(fd, POLLIN, hold), it.wait(fd, POLLOUT | POLLPRI, hold)];
  opened.name = name;
  assertEquals(await waits[1], POLLOUT);
  await assertRejects(() => waits[0] ?? Promise.resolve(), Error, "libmissing.so.0");
  const woken = it.wait(fd, POLLIN, hold);
  libc.write(fd, ONE);
  assertEquals(await woken, POLLIN);
  it.forget(fd);
  libc.close(fd);
});

test("wait() rejects at an abort where somebody has closed the epoll, and works again", {
  timeout: 60_000,
}, async () => {
  const it = new EpollReactor();
  const fd = counter();
  const stop = new AbortController();
  const waits = [it.wait(fd, POLLIN, hold, stop.signal), it.wait(fd, POLLIN, hold)];
  // Another file has its number at once: else one of whoever opens a file meanwhile would.
  const closed = epollsOf(fd).map(({ epfd }) => epfd);
  for (const epfd of closed) libc.dup2(fd, epfd);
  stop.abort();
  for (const wait of waits) {
    assertEquals((await assertRejects(() => wait, SysError)).code, "EINVAL");
  }
  assertEquals(isHeld(), false);
  const woken = it.wait(fd, POLLIN, hold);
  libc.write(fd, ONE);
  assertEquals(await woken, POLLIN);
  it.forget(fd);
  for (const number of [fd, ...closed]) libc.close(number);
});

/** How the constructor of a Worker fails where RLIMIT_NPROC is reached. */
const NO_THREADS: Readonly<Record<string, Error>> = {
  Deno: Object.assign(new Error("Resource temporarily unavailable"), { code: "EAGAIN" }),
  Bun: new TypeError("Failed to spawn worker thread"),
  Node: Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" }),
};
for (const [name, failure] of Object.entries(NO_THREADS)) {
  test(`wait() rejects with EAGAIN where ${name} can have no other thread`, async () => {
    const threads = process.getBuiltinModule("node:worker_threads") as { Worker: unknown };
    const { Worker } = threads;
    threads.Worker = function (): never {
      throw failure;
    };
    const fd = counter();
    const error = await assertRejects(() => new EpollReactor().wait(fd, POLLIN, hold), SysError);
    threads.Worker = Worker;
    libc.close(fd);
    assertEquals([error.op, error.code], ["pthread_create", "EAGAIN"]);
  });
}
