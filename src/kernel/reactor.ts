/**
 * Readiness of file descriptors as promises, the same on every runtime.
 *
 * All descriptors that are waited for are in one epoll. While events keep coming this thread takes
 * them itself, once in each turn of its event loop: a request and its answer wake nobody. Once none
 * has come for a moment another thread watches the epoll, and rings.
 *
 * @module
 */
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EpollEvents,
  EPOLLONESHOT,
} from "../../ffi/abi/epoll.ts";
import { POLLERR, PollFds, POLLHUP, POLLIN, POLLNVAL } from "../../ffi/abi/poll.ts";
import { isSysError } from "../../ffi/errno.ts";
import { epoll_ctl, epoll_wait, poll } from "../../ffi/libc.ts";
import { immediate } from "../runtime/builtins.ts";
import { atThreadEnd } from "../runtime/thread_end.ts";
import { LoopHold, SocketHold } from "../wait/loop_hold.ts";
import { Patience } from "./reactor_patience.ts";
import { Watch } from "./reactor_watch.ts";

/** What poll(2) tells without being asked. */
const UNASKED = POLLERR | POLLHUP;
/** What poll(2) can be asked for; epoll has the same bits for that, and others of its own. */
const ASKABLE = 0x3fff & ~POLLNVAL;
/**
 * How often to attend before the event loop is to sleep until the other thread rings. Deno looks
 * after its own I/O when its event loop sleeps, and else in one turn of 61.
 */
const TURNS_IN_A_ROW = "Deno" in globalThis ? 16 : Infinity;
/** Events to take by one system call. */
const BATCH = 256;

/** The one timer by which all waits of this thread hold its event loop. */
const loop: LoopHold = new LoopHold();

/** Whether some wait of this thread keeps the process alive. */
export function isHeld(): boolean {
  return loop.holders > 0;
}

/** Whether the waits of one socket of the kernel keep the process alive. */
export class Hold extends SocketHold {
  constructor() {
    super(loop);
  }
}

interface Wait {
  readonly events: number;
  readonly hold: Hold;
  readonly resolve: (revents: number) => void;
  readonly reject: (error: unknown) => void;
  readonly unlisten: () => void;
}

/** A descriptor that has been waited for. */
interface Entry {
  readonly fd: number;
  /** Goes through the epoll, to tell this entry from others of the same number. */
  readonly tag: number;
  /** Whether the epoll has it. */
  added: boolean;
  waits: Wait[];
}

/** Readiness of descriptors as promises: one epoll and one Worker for a thread. */
export class EpollReactor {
  readonly #posts: boolean;
  readonly #entries: Map<number, Entry> = new Map();
  readonly #pollfd: PollFds = new PollFds(1);
  /** The epoll, which can be polled itself. */
  readonly #epoll: PollFds = new PollFds(1);
  readonly #patience: Patience = new Patience();
  readonly #event: EpollEvents = new EpollEvents(1);
  readonly #events: EpollEvents = new EpollEvents(BATCH);
  #watch: Watch | undefined;
  #attending = false;
  /** Turns of the event loop since the other thread rang. */
  #row = 0;
  /** Whether a wait is for an answer, of those that began since this thread last stayed for one. */
  #asked = false;
  #tags = 0;

  /** `posts`: be woken by messages, for where there is no `Atomics.waitAsync`. */
  constructor(posts: boolean = Atomics.waitAsync === undefined) {
    this.#posts = posts;
    atThreadEnd(() => {
      this.#watch?.stop();
      this.#watch = undefined;
    });
  }

  /**
   * Resolves with the revents of poll(2) once some of `events` (or POLLERR, POLLHUP) hold; with
   * POLLNVAL after `forget(fd)`. Rejects with the signal's reason; events that hold already win
   * over it. Rejects with a `SysError` where the kernel has no room for the wait.
   *
   * `dry` says that the events did not hold just now, which saves a call; `asked` that they are to
   * be the answer to what was just sent, which is worth being quick.
   */
  wait(
    fd: number,
    events: number,
    hold: Hold,
    signal?: AbortSignal,
    dry: boolean = false,
    asked: boolean = false,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#pollfd.set(0, fd, events);
      if (this.#now(dry, asked, signal)) return resolve(this.#pollfd.revents(0));
      signal?.throwIfAborted();
      const watch = this.#watch ??= this.#open();
      const entry = this.#enter(watch, fd, events);
      watch.begin();
      const abort = (): void => this.#abort(watch, entry, wait, signal?.reason);
      const unlisten = (): void => signal?.removeEventListener("abort", abort);
      const wait: Wait = { events, hold, resolve, reject, unlisten };
      entry.waits.push(wait);
      hold.acquire();
      this.#asked ||= asked;
      this.#attendSoon(watch);
      try {
        // Last: a signal of the caller's own class may close the socket in here, or throw.
        signal?.addEventListener("abort", abort, { once: true });
      } catch (error) {
        this.#abort(watch, entry, wait, error);
      }
    });
  }

  /** Whether what is to be waited for holds already, or after a moment that this thread blocks. */
  #now(dry: boolean, asked: boolean, signal: AbortSignal | undefined): boolean {
    if (signal?.aborted) return poll(this.#pollfd, 0) > 0;
    if (asked) return !dry && poll(this.#pollfd, 0) > 0;
    return this.#patience.forMore(this.#pollfd, dry);
  }

  /**
   * Ends all waits of `fd` with POLLNVAL and takes it out of the epoll: to be called before
   * close(2).
   */
  forget(fd: number): void {
    const entry = this.#entries.get(fd);
    if (entry === undefined || this.#watch === undefined) return;
    this.#drop(this.#watch, entry);
    try {
      epoll_ctl(this.#watch.epfd, EPOLL_CTL_DEL, fd, this.#event);
    } catch {
      // Never in it, as a file on a disk, or closed already: close(2) takes a file out of every
      // epoll, unless another number has it.
    }
  }

  #open(): Watch {
    const ring = (): void => this.#ring(watch);
    const fail = (error: unknown): void => this.#fail(watch, error);
    const watch = new Watch({ ring, fail }, this.#posts);
    this.#epoll.set(0, watch.epfd, POLLIN);
    return watch;
  }

  /** The entry of `fd`, armed for `events` beside what it waits for already. */
  #enter(watch: Watch, fd: number, events: number): Entry {
    const known = this.#entries.get(fd);
    if (known !== undefined) {
      if (this.#arm(watch, known, events)) return known;
      this.#drop(watch, known);
    }
    this.#tags = (this.#tags + 1) >>> 0;
    const entry: Entry = { fd, tag: this.#tags, added: false, waits: [] };
    this.#arm(watch, entry, events);
    this.#entries.set(fd, entry);
    return entry;
  }

  /**
   * Has the epoll tell once when some of `events` hold, or of what `entry` waits for. `false` where
   * the number means another file now: closed, opened again, and not forgotten in between.
   */
  #arm(watch: Watch, entry: Entry, events: number): boolean {
    for (const wait of entry.waits) events |= wait.events;
    this.#event.set(0, (events & ASKABLE) | EPOLLONESHOT, entry.fd, entry.tag);
    try {
      const op = entry.added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
      epoll_ctl(watch.epfd, op, entry.fd, this.#event);
      entry.added = true;
      return true;
    } catch (error) {
      if (isSysError(error, "ENOENT")) return false;
      // What epoll refuses, a file on a disk, never changes: poll(2) has said all.
      if (isSysError(error, "EPERM")) return true;
      throw error;
    }
  }

  /**
   * Attends in the next turn of the event loop: what makes a wait end may be done by this thread
   * too. Waits that must not hold the process are the other thread's, since a pending turn would.
   */
  #attendSoon(watch: Watch): void {
    if (this.#attending || !watch.busy) return;
    if (!isHeld() || this.#row >= TURNS_IN_A_ROW) return this.#leave(watch);
    this.#attending = true;
    immediate(() => {
      this.#attending = false;
      if (this.#watch !== undefined) this.#attend(this.#watch);
    });
  }

  /** Has the other thread tell what comes next. */
  #leave(watch: Watch): void {
    try {
      watch.arm();
    } catch (error) {
      this.#fail(watch, error);
    }
  }

  /** Takes what comes here and now, turn after turn, and leaves the rest to the other thread. */
  #attend(watch: Watch): void {
    if (!watch.busy) return;
    try {
      const came = this.#take(watch) || this.#staysForAnswer() && this.#take(watch);
      this.#row += 1;
      if (came) this.#attendSoon(watch);
      else this.#leave(watch);
    } catch (error) {
      this.#fail(watch, error);
    }
  }

  /** Where a wait that began is for an answer: whether something is there after a moment. */
  #staysForAnswer(): boolean {
    const asked = this.#asked;
    this.#asked = false;
    return asked && this.#patience.forAnswer(this.#epoll);
  }

  /**
   * Takes what the epoll has, and resolves the waits that it is for: whether there was something.
   * Runs no foreign code.
   */
  #take(watch: Watch): boolean {
    const events = this.#events;
    let [came, count] = [false, 0];
    do {
      count = epoll_wait(watch.epfd, events, 0);
      came ||= count > 0;
      for (let index = 0; index < count; index++) {
        const entry = this.#entries.get(events.data(index));
        if (entry?.tag === events.tag(index)) this.#settle(watch, entry, events.events(index));
      }
    } while (count === events.length);
    return came;
  }

  /** Resolves the waits that `events` are for; the epoll tells once, so others arm it anew. */
  #settle(watch: Watch, entry: Entry, events: number): void {
    const waits = entry.waits;
    entry.waits = waits.filter((wait) => (events & (wait.events | UNASKED)) === 0);
    for (const wait of waits) {
      const revents = events & (wait.events | UNASKED);
      if (revents !== 0) finish(watch, wait).resolve(revents);
    }
    if (entry.waits.length === 0) return;
    try {
      if (!this.#arm(watch, entry, 0)) this.#drop(watch, entry);
    } catch (error) {
      for (const wait of entry.waits.splice(0)) finish(watch, wait).reject(error);
    }
  }

  /** Ends all waits of `entry`: its descriptor is about to go. */
  #drop(watch: Watch, entry: Entry): void {
    this.#entries.delete(entry.fd);
    for (const wait of entry.waits.splice(0)) finish(watch, wait).resolve(POLLNVAL);
  }

  #abort(watch: Watch, entry: Entry, wait: Wait, reason: unknown): void {
    try {
      this.#take(watch);
    } catch (error) {
      this.#fail(watch, error);
    }
    const index = entry.waits.indexOf(wait);
    if (index === -1) return; // it held already, or is over with all others
    entry.waits.splice(index, 1);
    finish(watch, wait).reject(reason);
  }

  #ring(watch: Watch): void {
    this.#row = 0;
    try {
      this.#take(watch);
      this.#attendSoon(watch);
    } catch (error) {
      this.#fail(watch, error);
    }
  }

  /** The thread is no more, or somebody closed the epoll: no wait would ever end. */
  #fail(watch: Watch, error: unknown): void {
    if (this.#watch !== watch) return; // whose waits have ended before
    this.#watch = undefined;
    const waits = [...this.#entries.values()].flatMap((entry) => entry.waits.splice(0));
    this.#entries.clear();
    for (const wait of waits) finish(watch, wait).reject(error);
  }
}

/** What is due however a wait ends. */
function finish(watch: Watch, wait: Wait): Wait {
  wait.unlisten();
  wait.hold.release();
  watch.end();
  return wait;
}

let own: EpollReactor | undefined;

/** The reactor of this thread, made on first use. */
export function reactor(): EpollReactor {
  return own ??= new EpollReactor();
}
